"""Leaves out articles that are too short, in another language, or duplicates; finds questions."""
