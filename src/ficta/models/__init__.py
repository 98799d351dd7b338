"""One family per file, top to bottom, its settings inside."""
