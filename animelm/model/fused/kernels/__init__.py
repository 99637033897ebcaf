"""Triton kernels of the operators with the same names; Triton is imported with them alone."""
