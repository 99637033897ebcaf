"""Estimates a run from its config: memory, steps, tokens, and what to change."""
