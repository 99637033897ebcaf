"""From a subject's facts to short Markdown articles, in several revisions with different wordings.

A revision tells each fact once: told twice, the second time could be copied from the first instead
of being remembered. Every second revision is headed by the subject, the others by one of its
values, with no mention of the subject before it: who only reads "subject, then value" cannot be
asked from the value to the subject (arXiv 2309.12288).
"""

import random
from dataclasses import dataclass

import yaml

from animelm.sample.facts import Fact
from animelm.sample.wordings import load_relations, telling_sentences

_VALUE_FIRST_SHARE = 0.4


@dataclass(frozen=True)
class Article:
    """One revision of the article of one subject.

    Attributes:
        title: the subject.
        revision: its number, from 1.
        front_matter: YAML between two lines of dashes.
        body: the Markdown below it.
    """

    title: str
    revision: int
    front_matter: str
    body: str

    @property
    def text(self) -> str:
        """The whole file."""
        return f"{self.front_matter}\n{self.body}\n"


def write_articles(page_id: int, facts: list[Fact], revisions: int) -> list[Article]:
    """Writes the article of one subject; the same facts always give the same texts.

    Args:
        page_id: number in the front matter.
        facts: all facts of one subject.
        revisions: how many; fewer are the first of more.
    """
    subject = facts[0].subject
    return [
        Article(subject, number, _front_matter(page_id, number, facts), body)
        for number, body in enumerate(article_bodies(facts, revisions), start=1)
    ]


def _front_matter(page_id: int, revision: int, facts: list[Fact]) -> str:
    values = {
        "title": facts[0].subject,
        "page_id": page_id,
        "revision": revision,
        "categories": [facts[0].kind],
        "source": sorted({fact.source for fact in facts}),
        "license": "Apache-2.0",
    }
    return f"---\n{yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=1000)}---\n"


def article_bodies(facts: list[Fact], revisions: int) -> list[str]:
    """The Markdown below the front matter, of each revision."""
    sentences = _Sentences(facts)
    asked = [fact for fact in facts if load_relations()[fact.relation].questions["reverse"]]
    leading = asked or facts
    bodies = []
    for number in range(revisions):
        first = leading[number // 2 % len(leading)] if number % 2 else None
        bodies.append(sentences.article(first))
    return bodies


class _Sentences:
    """The sentences of one subject's facts, in an order of their own.

    Each is drawn again only after all others of its fact and order of words.
    """

    def __init__(self, facts: list[Fact]) -> None:
        self._facts = facts
        self._random = random.Random(f"article:{facts[0].subject}")
        self._left: dict[tuple[Fact, bool], list[str]] = {}

    def article(self, first: Fact | None) -> str:
        """A heading and one paragraph.

        Args:
            first: fact whose value is the heading and begins the text; None for an article that is
                headed by the subject.
        """
        facts = [fact for fact in self._facts if fact is not first]
        self._random.shuffle(facts)
        text = [self._draw(fact, self._random.random() < _VALUE_FIRST_SHARE) for fact in facts]
        if first is not None:
            text.insert(0, self._draw(first, value_first=True))
        return f"# {first.value if first else self._facts[0].subject}\n\n" + "".join(text)

    def _draw(self, fact: Fact, value_first: bool) -> str:
        left = self._left.setdefault((fact, value_first), [])
        if not left:
            left += telling_sentences(fact, value_first)
            self._random.shuffle(left)
        return left.pop()
