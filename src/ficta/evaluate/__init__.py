"""One definition of how good, how varied and how new samples are, and how sure that is."""
