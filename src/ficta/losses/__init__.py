"""The equations, each checkable against its paper. Pure: tensors in, one number a sample out."""
