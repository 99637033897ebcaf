"""Reads a base: files of any layout, one tensor at a time."""
