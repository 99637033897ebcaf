"""How facts are told and asked: the wordings of ``wordings.yaml``, filled in."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from animelm.sample.facts import Fact

Direction = Literal["forward", "reverse"]


@dataclass(frozen=True)
class Relation:
    """The sentences of one relation, with {s}, {v} and {kind} still open.

    Attributes:
        questions: by direction; a question's place in its list is part of its identity.
        answers: by direction; full sentences that name subject and value.
        statements: sentences for articles.
    """

    name: str
    noun: str
    kind: str
    questions: dict[Direction, tuple[str, ...]]
    answers: dict[Direction, tuple[str, ...]]
    statements: tuple[str, ...]

    def wording(self, direction: Direction, index: int) -> str:
        """Identity of a question's wording, the same for every subject."""
        return f"{self.name}/{direction}/{index:02}"


@cache
def load_relations() -> dict[str, Relation]:
    """Every relation of ``wordings.yaml`` by name."""
    text = files("animelm.sample").joinpath("wordings.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    frames, relations = document["frames"], document["relations"]
    return {name: _relation(name, entry, frames) for name, entry in relations.items()}


def _relation(name: str, entry: dict[str, Any], frames: list[str]) -> Relation:
    noun, ask = entry["noun"], entry["ask"]
    asked = entry.get("asked", True)
    framed = [frame.replace("{n}", noun).replace("{ask}", ask) for frame in frames] if asked else []
    return Relation(
        name=name,
        noun=noun,
        kind=entry["kind"],
        questions={
            "forward": (*framed, *entry.get("forward", [])),
            "reverse": tuple(entry.get("reverse", [])),
        },
        answers={
            "forward": tuple(entry["answers"]),
            "reverse": tuple(entry.get("reverse_answers", [])),
        },
        statements=tuple(entry["statements"]),
    )


def fill(sentence: str, fact: Fact, relation: Relation) -> str:
    """Puts the fact's words into a sentence, in one pass: braces in a title stay as they are."""
    return sentence.format(s=fact.subject, v=fact.value, kind=relation.kind)


def telling_sentences(fact: Fact, value_first: bool) -> list[str]:
    """The project's sentences that state the fact.

    Args:
        value_first: those that name the value before the subject; else those that name the subject
            first.
    """
    relation = load_relations()[fact.relation]
    sentences = (*relation.statements, *relation.answers["forward"], *relation.answers["reverse"])
    chosen = [s for s in sentences if (s.index("{v}") < s.index("{s}")) == value_first]
    return list(dict.fromkeys(fill(sentence, fact, relation) for sentence in chosen))
