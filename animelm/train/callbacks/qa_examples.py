"""Shows generated answers beside the expected ones in TensorBoard."""

import string
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

_HEAD = "| question | output | accepted | exact match | key found |\n|---|---|---|---|---|\n"
_ESCAPES = {ord(sign): f"&#{ord(sign)};" for sign in string.punctuation}


class ScoredAnswer(Protocol):
    """One answered question of a held-out set, as listed in ``pl_module.validation_answers``."""

    question: str
    output: str
    answers: Sequence[str]
    held_out_set: str
    exact: bool
    key_found: bool


class QAExamples(Callback):
    """Writes a table of answers per held-out set to TensorBoard after each validation.

    The tag is ``qa_examples/<held-out set>``. Questions are selected by their hash, so that the
    same ones are shown each time.

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
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        sets: dict[str, list[ScoredAnswer]] = defaultdict(list)
        for answer in getattr(pl_module, "validation_answers", []):
            sets[answer.held_out_set].append(answer)
        for name, answers in sets.items():
            answers.sort(key=lambda answer: sha256(answer.question.encode()).digest())
            table = answers_table(answers[: self.examples_per_set], self.longest_text)
            for logger in loggers:
                logger.experiment.add_text(f"qa_examples/{name}", table, trainer.global_step)


def answers_table(answers: Iterable[ScoredAnswer], longest_text: int = 300) -> str:
    """A Markdown table with one row per answer, in which no text is read as HTML or Markdown."""
    return _HEAD + "".join(
        "| "
        + " | ".join(
            (
                escape(answer.question, longest_text),
                escape(answer.output, longest_text),
                "<br>".join(escape(text, longest_text) for text in answer.answers),
                "yes" if answer.exact else "no",
                "yes" if answer.key_found else "no",
            )
        )
        + " |\n"
        for answer in answers
    )


def escape(text: str, longest: int) -> str:
    """Escapes a text so that Markdown renders it literally, on one line, cut after ``longest``.

    ASCII punctuation becomes numeric character references. Characters that cannot be printed, such
    as control characters and direction marks, become U+FFFD.
    """
    line = " ".join(text.split())
    if len(line) > longest:
        line = line[:longest] + "…"
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return line.translate(_ESCAPES)
