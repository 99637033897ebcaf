"""Greedy generation for many prompts at once."""
