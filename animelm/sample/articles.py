"""From a subject's facts to a Markdown article in which each fact is told several times."""

import random
from dataclasses import dataclass

import yaml

from animelm.sample.facts import Fact
from animelm.sample.wordings import load_relations, telling_sentences


@dataclass(frozen=True)
class Article:
    """One article: its title, and the whole file's text with front matter."""

    title: str
    text: str


def write_article(page_id: int, facts: list[Fact]) -> Article:
    """Writes the article of one subject; the same facts always give the same text.

    Args:
        page_id: number in the front matter.
        facts: all facts of one subject.
    """
    subject, kind = facts[0].subject, facts[0].kind
    front = {
        "title": subject,
        "page_id": page_id,
        "revision": 1,
        "categories": [kind],
        "source": sorted({fact.source for fact in facts}),
        "license": "Apache-2.0",
    }
    header = yaml.safe_dump(front, allow_unicode=True, sort_keys=False, width=1000)
    return Article(subject, f"---\n{header}---\n\n{article_body(facts, seed=subject)}\n")


def article_body(facts: list[Fact], seed: str) -> str:
    """The Markdown below the front matter: an overview, then a section for each fact."""
    shuffle = random.Random(f"article:{seed}").shuffle
    relations = load_relations()
    overview, sections = [], []
    for fact in facts:
        sentences = telling_sentences(fact)
        shuffle(sentences)
        overview.append(sentences[0])
        rest = sentences[1:] or sentences
        sections.append(f"## {relations[fact.relation].noun}\n\n" + "".join(rest))
    shuffle(overview)
    return f"# {facts[0].subject}\n\n" + "".join(overview) + "\n\n" + "\n\n".join(sections)
