"""Optimizers that take many small tensors in few operations."""
