"""Parts of ``benchmarks/full_shape.py``."""
