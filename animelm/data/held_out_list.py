"""What a run holds out, by name: its works, facts and articles."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from animelm.data.held_out import QuestionSplit
from animelm.data.sources.qa import QARecord

Part = Literal["dev", "test"]
HELD_OUT_FILE = "held_out.jsonl"


@dataclass(frozen=True)
class HeldOutFact:
    """The questions on one fact in one part of a held-out set.

    Attributes:
        held_out_set: name of the set.
        part: ``dev``, on which recipes are chosen, or ``test``.
        work: its work; None where none is known.
        fact: its name.
        questions: the questions.
    """

    held_out_set: str
    part: Part
    work: str | None
    fact: str
    questions: tuple[str, ...]


def held_out_facts(split: QuestionSplit) -> list[HeldOutFact]:
    """Every fact that is asked in a held-out set, in the order of sets and questions."""
    parts: list[tuple[Part, dict[str, list[QARecord]]]] = [("dev", split.dev), ("test", split.test)]
    return [
        HeldOutFact(name, part, members[0].work if members[0].work_is_known else None, fact, asked)
        for name in dict.fromkeys([*split.dev, *split.test])
        for part, sets in parts
        for fact, members in _by_fact(sets.get(name, [])).items()
        for asked in [tuple(record.question for record in members)]
    ]


def held_out_lines(
    split: QuestionSplit, articles: Mapping[str, list[str]], shown: Callable[[str], str] = str
) -> Iterator[str]:
    """The lines of ``held_out.jsonl``: an object for each fact, and one for each article.

    Args:
        split: the questions of a run.
        articles: titles of the held-out articles, by the name of their set.
        shown: gives the name of a set of questions as the run calls it.
    """
    for each in held_out_facts(split):
        yield _line(
            set=shown(each.held_out_set),
            part=each.part,
            work=each.work,
            fact=each.fact,
            questions=each.questions,
        )
    for name, titles in articles.items():
        for title in titles:
            yield _line(set=name, article=title)


def _by_fact(records: list[QARecord]) -> dict[str, list[QARecord]]:
    facts: dict[str, list[QARecord]] = {}
    for record in records:
        facts.setdefault(record.fact, []).append(record)
    return facts


def _line(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
