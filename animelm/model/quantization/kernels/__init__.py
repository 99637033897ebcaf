"""Triton kernels that dequantize 4-bit weights on a GPU; Triton is imported with them alone."""
