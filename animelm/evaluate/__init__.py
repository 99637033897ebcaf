"""Generates answers, scores them, and compares models."""
