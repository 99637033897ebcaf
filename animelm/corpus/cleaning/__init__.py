"""Leaves out articles that are too short, in another language, duplicates, or hold questions."""
