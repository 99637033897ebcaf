"""Selects pages by category, title and links."""
