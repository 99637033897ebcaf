"""Chooses pages by category, title and namespace."""
