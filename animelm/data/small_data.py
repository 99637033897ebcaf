"""Says where data are too small for a figure or a run to mean much."""

import math
from collections.abc import Sequence

from animelm.data.sources.qa import QARecord

FEW_STEPS = 100
"""Optimizer steps below which a run rarely learns what it is shown."""

FEW_QUESTIONS = 30
"""Questions of a set below which its accuracy has an interval wider than 0.3."""


_MUCH_PADDING = 0.25
_BLOCK_STEP = 32  # rows and keys of attention are filled up to multiples of it


def without_short_keys(records: Sequence[QARecord]) -> str:
    """A sentence on questions whose only keys are whole answers; empty where there are none."""
    count = sum(record.whole_answers for record in records)
    if not count:
        return ""
    return (
        f"{count:,} of {len(records):,} questions have no short key: an answer counts as right "
        "only if it holds the whole gold answer. `python -m animelm questions check` shows them, "
        "and writes a file in which keys can be added"
    )


def few_questions(name: str, records: Sequence[QARecord]) -> str:
    """A sentence on a held-out set that is too small; empty for one that is not."""
    count = len(records)
    if count >= FEW_QUESTIONS:
        return ""
    works = len({record.work for record in records})
    return (
        f"{name} holds {count} question{'s' * (count != 1)} on {works} "
        f"work{'s' * (works != 1)}: below {FEW_QUESTIONS} an accuracy says little"
    )


def batches_shown(batches: int, limit: int | float) -> tuple[int, str]:
    """How many batches of an epoch are trained on, and a sentence where they are not all.

    Args:
        batches: of an epoch.
        limit: ``trainer.limit_train_batches``: a number of batches, or as a float their share.
    """
    shown = min(batches, limit if isinstance(limit, int) else int(batches * limit))
    if shown == batches:
        return shown, ""
    return shown, (
        f"trainer.limit_train_batches is {limit}: an epoch ends after {shown:,} of its "
        f"{batches:,} batches, and what is in the others is not trained on in it; 1.0 shows all"
    )


def few_steps(batches: int, accumulated: int, epochs: int | None, most: int) -> str:
    """A sentence on a run that is too short; empty for one that is not, or that has no end.

    Args:
        batches: of an epoch, as far as they are trained on.
        accumulated: batches of an optimizer step.
        epochs: of the run; None or -1 for one without an end.
        most: optimizer steps, at most; -1 for any number.
    """
    a_pass = math.ceil(batches / accumulated)
    of_epochs = a_pass * epochs if epochs is not None and epochs >= 0 else math.inf
    steps = min(of_epochs, most if most >= 0 else math.inf)
    if steps >= FEW_STEPS or not a_pass:
        return ""
    advice = []
    if 0 <= most < FEW_STEPS:
        advice.append(f"raise trainer.max_steps, which is {most}")
    if of_epochs < FEW_STEPS:
        advice.append(
            f"raise trainer.max_epochs to {math.ceil(FEW_STEPS / a_pass)} passes, or lower "
            "data.blocks_per_batch or trainer.accumulate_grad_batches"
        )
    return (
        f"the run takes {steps:.0f} optimizer step{'s' * (steps != 1)}: with fewer than "
        f"{FEW_STEPS} little is learned; {', and '.join(advice)}"
    )


def much_padding(blocks: int, block_size: int, tokens: int, documents: str, longest: int) -> str:
    """A sentence on blocks that stay empty for a large part; empty where they do not.

    Args:
        blocks: of an epoch.
        block_size: tokens of a block.
        tokens: of an epoch, without padding.
        documents: number and kind of those that an epoch shows whole, such as "29 questions".
        longest: tokens of the longest document.
    """
    padding = 1 - tokens / max(1, blocks * block_size)
    if padding < _MUCH_PADDING or not tokens:
        return ""
    needed = max(longest, math.ceil(tokens / blocks))
    smaller = math.ceil(needed / _BLOCK_STEP) * _BLOCK_STEP
    advice = f"set data.block_size to {smaller}, or give" if smaller < block_size else "give"
    return (
        f"{padding:.0%} of an epoch is padding: {documents}, with what is mixed in, are few: their "
        f"{tokens:,} tokens do not fill {blocks:,} block{'s' * (blocks != 1)} of {block_size} "
        f"tokens. Padding teaches nothing and takes time; {advice} more articles and questions"
    )
