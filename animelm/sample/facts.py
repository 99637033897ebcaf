"""Tables of facts: one fact a row, each with its source.

What the base already knows (``general``) and what is to be learned (``anime``) are two files.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from animelm.errors import UserError

Domain = Literal["anime", "general"]
_COLUMNS = ["subject", "kind", "relation", "value", "source"]


@dataclass(frozen=True)
class Fact:
    """One row.

    Attributes:
        subject: what the fact is about (a work, a country, …).
        kind: what the subject is, in Japanese.
        relation: key of ``wordings.yaml``.
        values: accepted spellings, the usual one first.
        source: where the fact comes from.
    """

    subject: str
    kind: str
    relation: str
    values: tuple[str, ...]
    source: str

    @property
    def value(self) -> str:
        """The usual spelling."""
        return self.values[0]


def load_facts(domain: Domain) -> list[Fact]:
    """The rows of one table, in file order.

    Raises:
        UserError: a row has not exactly the five columns, or an empty one; names the line.
    """
    name = f"{domain}.tsv"
    text = files("animelm.sample").joinpath("tables", name).read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if next(rows, None) != _COLUMNS:
        raise UserError(f"{name}, line 1: expected the columns {', '.join(_COLUMNS)}")
    facts = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(_COLUMNS) or not all(row):
            raise UserError(
                f"{name}, line {number}: expected {len(_COLUMNS)} filled columns, found {row}"
            )
        subject, kind, relation, value, source = row
        facts.append(Fact(subject, kind, relation, tuple(value.split("|")), source))
    return facts


def by_subject(facts: list[Fact]) -> dict[str, list[Fact]]:
    """Facts grouped by subject, in order of first appearance."""
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.subject, []).append(fact)
    return groups


def names_one_subject(facts: list[Fact]) -> set[tuple[str, str]]:
    """(relation, value) pairs that belong to one subject only: those can be asked in reverse."""
    counts = Counter((fact.relation, fact.value) for fact in facts)
    return {pair for pair, count in counts.items() if count == 1}
