"""Reads and writes a base: checkpoints in any published format, one tensor at a time."""
