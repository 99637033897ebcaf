"""Scores answers: by their keys in two spellings, by exact match, and by character F1."""

from animelm.evaluate.scoring.scores import (
    Distractors,
    Scores,
    character_f1,
    exact_match,
    key_accuracy,
    loose_key_accuracy,
)

__all__ = [
    "Distractors",
    "Scores",
    "character_f1",
    "exact_match",
    "key_accuracy",
    "loose_key_accuracy",
]
