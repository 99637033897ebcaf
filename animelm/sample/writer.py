"""Writes the sample to disk: articles and questions of both domains.

``anime/articles/*.md``, ``anime/qa.jsonl``, ``general/articles/*.md``, ``general/qa.jsonl``; an
article ``0007-03.md`` is the third revision of the seventh subject's.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from animelm.errors import UserError
from animelm.files import recover_folder, whole_folder
from animelm.sample.articles import write_articles
from animelm.sample.facts import Domain, Fact, by_subject, load_facts
from animelm.sample.questions import write_questions

GENERATED = Path(__file__).parent / "generated"
# What is to be learned needs more wordings than what is only rehearsed.
REVISIONS: dict[Domain, int] = {"anime": 24, "general": 2}


@dataclass(frozen=True)
class WrittenSample:
    """How much was written."""

    works: int
    anime_questions: int
    subjects: int
    general_questions: int


def write_sample(folder: Path, works: int | None = None) -> WrittenSample:
    """Writes both domains, the same bytes every time; each appears whole or not at all.

    Args:
        folder: gets the folders ``anime`` and ``general``, in place of those that are there.
        works: how many anime works, those whose titles hash lowest; None for all.

    Raises:
        UserError: the table has not so many works.
    """
    anime, general = load_facts("anime"), load_facts("general")
    titles = list(by_subject(anime))
    if works is not None and not 0 < works <= len(titles):
        raise UserError(
            f"works must be from 1 to {len(titles)}, the works of the table, not {works}"
        )
    chosen = set(sorted(titles, key=_hash)[:works])
    told = [fact for fact in anime if fact.subject in chosen]
    anime_questions = _write_domain(folder, "anime", told)
    general_questions = _write_domain(folder, "general", general)
    return WrittenSample(len(chosen), anime_questions, len(by_subject(general)), general_questions)


def _hash(title: str) -> str:
    return hashlib.sha256(title.encode()).hexdigest()


def _write_domain(folder: Path, domain: Domain, facts: list[Fact]) -> int:
    records = write_questions(facts, domain)
    recover_folder(folder / domain)
    with whole_folder(folder / domain) as partial:
        (partial / "articles").mkdir()
        for number, rows in enumerate(by_subject(facts).values(), start=1):
            # A number is a safe file name for any title; the front matter has the title.
            for article in write_articles(number, rows, REVISIONS[domain]):
                path = partial / "articles" / f"{number:04}-{article.revision:02}.md"
                path.write_text(article.text, encoding="utf-8")
        with (partial / "qa.jsonl").open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    return len(records)
