"""Answers, scores, intervals and the comparison of models."""
