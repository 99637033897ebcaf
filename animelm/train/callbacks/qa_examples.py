"""Shows generated answers beside the expected ones."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from animelm.train.loggers.run_log import RunLog
from animelm.train.loggers.table import LogTable

_COLUMNS = ("question", "output", "accepted", "exact match", "key found")


class ScoredAnswer(Protocol):
    """One answered question of a held-out set, as listed in ``pl_module.validation_answers``."""

    question: str
    output: str
    answers: Sequence[str]
    held_out_set: str
    exact: bool
    key_found: bool


class QAExamples(Callback):
    """Logs a table of answers per held-out set after each validation.

    The name is ``answers/<held-out set>``. Questions are selected by their hash, so that the same
    ones are shown each time.

    Args:
        examples_per_set: rows of each table.
        longest_text: number of characters after which a text is cut.
    """

    def __init__(self, examples_per_set: int = 20, longest_text: int = 300) -> None:
        self.examples_per_set = examples_per_set
        self.longest_text = longest_text

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        sets: dict[str, list[ScoredAnswer]] = defaultdict(list)
        for answer in getattr(pl_module, "validation_answers", []):
            sets[answer.held_out_set].append(answer)
        for name, answers in sets.items():
            answers.sort(key=lambda answer: sha256(answer.question.encode()).digest())
            table = answers_table(answers[: self.examples_per_set], self.longest_text)
            RunLog(trainer.loggers).table(f"answers/{name}", table, trainer.global_step)


def answers_table(answers: Iterable[ScoredAnswer], longest_text: int = 300) -> LogTable:
    """A table with one row per answer, in which long texts are cut."""
    return LogTable(
        _COLUMNS,
        [
            (
                _cut(answer.question, longest_text),
                _cut(answer.output, longest_text),
                [_cut(text, longest_text) for text in answer.answers],
                "yes" if answer.exact else "no",
                "yes" if answer.key_found else "no",
            )
            for answer in answers
        ],
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
