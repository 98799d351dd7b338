"""Features -> statistics -> number, on arrays; judges other people's samples too."""
