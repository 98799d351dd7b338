"""Tables: files of rows to numbers, and the codec between these and tensors."""
