"""What a later model gained, kept and lost against an earlier one, question by question."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from animelm.evaluate.results import Result

Outcome = Literal["gained", "kept", "lost", "never_known"]
OUTCOMES: tuple[Outcome, ...] = ("gained", "kept", "lost", "never_known")
Key = tuple[int, str, str]
"""A question: seed of the split, set, id."""

GROUPS: dict[str, Callable[[Result], str]] = {
    "direction": lambda result: result.direction,
    "relation": lambda result: relation_of(result),
    "wording": lambda result: result.wording,
    "work": lambda result: result.work,
}
"""What questions are grouped by."""


@dataclass(frozen=True)
class QuestionScore:
    """A question and its mean accuracy over the runs of one model (several adapters)."""

    result: Result
    accuracy: float

    @property
    def right(self) -> bool:
        """Whether half of the runs or more answer it rightly."""
        return self.accuracy >= 0.5


@dataclass(frozen=True)
class Change:
    """What became of one question between an earlier and a later model.

    Attributes:
        question: as the later model answered it.
        outcome: gained, kept, lost or never known.
        difference: later accuracy minus earlier accuracy.
    """

    question: Result
    outcome: Outcome
    difference: float


def relation_of(result: Result) -> str:
    """The relation of a fact, such as protagonist; empty where the fact names none."""
    if result.fact == result.work or "/" not in result.fact:
        return ""
    return result.fact.rsplit("/", 1)[1]


def question_scores(results: Iterable[Result]) -> dict[Key, QuestionScore]:
    """One model's results by question, averaged over its runs, in the order of the results."""
    members: dict[Key, list[Result]] = {}
    for result in results:
        members.setdefault((result.seed, result.held_out_set, result.id), []).append(result)
    return {
        key: QuestionScore(runs[0], sum(run.accuracy for run in runs) / len(runs))
        for key, runs in members.items()
    }


def changes(earlier: Iterable[Result], later: Iterable[Result]) -> list[Change]:
    """What became of each question, in the order of the later model's results.

    Raises:
        ValueError: the two models did not answer the same questions.
    """
    before, after = question_scores(earlier), question_scores(later)
    if before.keys() != after.keys():
        raise ValueError("the two models did not answer the same questions")
    return [
        Change(
            score.result,
            _outcome(before[key].right, score.right),
            score.accuracy - before[key].accuracy,
        )
        for key, score in after.items()
    ]


def _outcome(before: bool, after: bool) -> Outcome:
    if after:
        return "kept" if before else "gained"
    return "lost" if before else "never_known"


def count_outcomes(found: Iterable[Change]) -> dict[Outcome, int]:
    """The number of questions of each outcome, in the order of ``OUTCOMES``."""
    counts = Counter(change.outcome for change in found)
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def grouped(found: Sequence[Change], kind: str) -> dict[str, list[Change]]:
    """The changes by the groups of a kind in ``GROUPS``, sorted by name; unnamed ones left out."""
    groups: dict[str, list[Change]] = {}
    for change in found:
        if name := GROUPS[kind](change.question):
            groups.setdefault(name, []).append(change)
    return dict(sorted(groups.items()))


def by_set(found: Iterable[Change]) -> dict[str, list[Change]]:
    """The changes by set, in the order of their first questions."""
    sets: dict[str, list[Change]] = {}
    for change in found:
        sets.setdefault(change.question.held_out_set, []).append(change)
    return sets
