"""Networks keyed by the number of axes, heads keyed by value kind; never by dataset. No objective."""
