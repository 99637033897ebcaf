"""Splits data into a training and a held-out part: by article, by wording and by work.

The SHA-256 of a name and the seed alone decide whether it is held out. Nothing has to be stored,
adding a name moves few others, and the same seed always gives the same split.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.sources.qa import QARecord
from animelm.errors import UserError


def hash_order(names: Iterable[str], seed: int) -> list[str]:
    """The distinct names in the order of ``sha256(f"{seed}:{name}")``."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def held_out_names(names: Iterable[str], share: float, seed: int) -> set[str]:
    """The first ``round(share × count)`` of the distinct names in hash order.

    Raises:
        UserError: ``share`` is not in [0, 1).
    """
    check_share("a held-out share", share)
    ordered = hash_order(names, seed)
    return set(ordered[: round(share * len(ordered))])


def check_share(name: str, share: float) -> None:
    """Raises a ``UserError`` unless ``0 <= share < 1``."""
    if not 0 <= share < 1:
        raise UserError(f"{name} must be at least 0 and below 1, not {share}")


def split_articles(names: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Splits articles into those to train on and those held out, both in the given order.

    A share above 0 holds out at least one article, if there are two or more.

    Returns:
        ``(train, validation)``.

    Raises:
        UserError: ``share`` is not in [0, 1).
    """
    # Hashed in another form than the works of questions, which often have the same names: else the
    # works that are never asked about would be those whose articles are held out.
    hashed = {f"article:{name}": name for name in names}
    chosen = {hashed[key] for key in held_out_names(hashed, share, seed)}
    if share > 0 and not chosen and len(hashed) > 1:
        chosen = {hashed[hash_order(hashed, seed)[0]]}
    return (
        [name for name in names if name not in chosen],
        [name for name in names if name in chosen],
    )


@dataclass(frozen=True)
class QASplit:
    """A split of question-answer records.

    Attributes:
        train: kept wordings of kept works.
        unseen_wording: held-out wordings of kept works, whose facts are trained in other wordings.
        only_read: held-out wordings of held-out works, which ``train`` never asks about. Where a
            fact has no held-out wording, all of its wordings.
    """

    train: list[QARecord]
    unseen_wording: list[QARecord]
    only_read: list[QARecord]


def split_qa(
    records: Sequence[QARecord],
    held_out_wordings: float = 0.25,
    held_out_works: float = 0.25,
    seed: int = 0,
) -> QASplit:
    """Splits records by fact and by work.

    For each fact and direction, the first ``max(1, round(share × count))`` wordings in hash order
    are held out, but never all. Since the order depends on the wording alone, all facts of a
    relation hold out the same wordings. Works whose names differ only in punctuation, width or case
    are one. A question that is also trained on for another fact, spelled alike but for these, is
    removed from both held-out sets.

    Raises:
        UserError: a share is not in [0, 1).
    """
    check_share("held_out_wordings", held_out_wordings)
    check_share("held_out_works", held_out_works)
    chosen_works = held_out_names((record.work for record in records), held_out_works, seed)
    works = set(map(text_key, chosen_works))
    wordings = _held_out_wordings(records, held_out_wordings, seed)
    split = QASplit([], [], [])
    for record in records:
        chosen = wordings[record.fact, record.direction]
        if text_key(record.work) not in works:
            target = split.unseen_wording if record.wording in chosen else split.train
            target.append(record)
        elif record.wording in chosen or not chosen:
            split.only_read.append(record)
    trained = {text_key(record.asked) for record in split.train}
    return QASplit(
        split.train,
        [record for record in split.unseen_wording if text_key(record.asked) not in trained],
        [record for record in split.only_read if text_key(record.asked) not in trained],
    )


def _held_out_wordings(
    records: Sequence[QARecord], share: float, seed: int
) -> dict[tuple[str, str], set[str]]:
    """The held-out wordings of each (fact, direction)."""
    wordings: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        wordings[record.fact, record.direction].add(record.wording)
    chosen = {}
    for fact, names in wordings.items():
        count = min(max(1, round(share * len(names))), len(names) - 1) if share > 0 else 0
        chosen[fact] = set(hash_order(names, seed)[:count])
    return chosen


def subsample(records: Sequence[QARecord], count: int | None, seed: int) -> list[QARecord]:
    """At most ``count`` records, the first by the hash of their id; all of them for ``None``."""
    if count is None or len(records) <= count:
        return list(records)
    chosen = set(hash_order((record.id for record in records), seed)[:count])
    return [record for record in records if record.id in chosen]
