"""Attention in which each document of a packed batch attends to itself only."""
