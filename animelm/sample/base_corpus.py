"""The embedded base's training text: general facts, exercises in reading, plain Japanese.

No anime fact is in it: a passage that names a work or a protagonist of the anime table is left out.
"""

import bz2
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from animelm.errors import UserError
from animelm.sample.articles import write_articles
from animelm.sample.facts import Fact, by_subject, load_facts
from animelm.sample.invented import copying_drills, name_drills, reading_records
from animelm.sample.questions import write_questions
from animelm.sample.writer import REVISIONS

JSQUAD = Path("qa/jsquad-v1.3-valid.json")
COUNTRY_PAGES = Path("dumps/jawiki-countries.xml.bz2")
_DRILLS = 6_000
_NAME_DRILLS = 2_500
_PASSAGE_CHARACTERS = 400
_SHORTEST_PASSAGE = 60
_REVISIONS = 12  # of each general article, beside those of the sample


@dataclass(frozen=True)
class BaseCorpus:
    """What ``write_base_corpus`` wrote.

    Attributes:
        articles: folder of Markdown on the general facts, none of it in the sample.
        plain: folder of Markdown with plain Japanese; None without a source of it.
        drills: folder of texts that repeat random kanji: the first lesson.
        names: folder of texts that repeat invented names.
        questions: QA records on the general facts.
        reading: QA records on passages about invented subjects.
    """

    articles: Path
    plain: Path | None
    drills: Path
    names: Path
    questions: Path
    reading: Path


def write_base_corpus(
    folder: Path, plain_text: Path | None, reading: int = 6_000, seed: int = 0
) -> BaseCorpus:
    """Writes the base's training text.

    Args:
        folder: where to; what an earlier call wrote there is replaced.
        plain_text: folder that holds ``qa/jsquad-v1.3-valid.json`` (JGLUE) and
            ``dumps/jawiki-countries.xml.bz2`` (Japanese country pages); None: no plain Japanese.
        reading: how many reading exercises.
        seed: of the invented names.

    Raises:
        UserError: ``plain_text`` lacks one of its two files.
    """
    corpus = BaseCorpus(
        articles=folder / "articles",
        plain=folder / "plain" if plain_text else None,
        drills=folder / "drills",
        names=folder / "names",
        questions=folder / "general.jsonl",
        reading=folder / "reading.jsonl",
    )
    facts = load_facts("general")
    _write_folder(corpus.articles, _numbered(_unshipped_articles(facts)))
    _write_lines(corpus.questions, write_questions(facts, "general"))
    _write_lines(corpus.reading, reading_records(reading, seed))
    _write_folder(corpus.drills, _numbered(copying_drills(_DRILLS, seed)))
    _write_folder(corpus.names, _numbered(name_drills(_NAME_DRILLS, seed)))
    if plain_text and corpus.plain:
        _write_folder(corpus.plain, _numbered(plain_passages(plain_text)))
    return corpus


def _unshipped_articles(facts: list[Fact]) -> Iterator[str]:
    """Articles that are not in the sample, whose perplexity is then that of text never read."""
    shipped = REVISIONS["general"]
    for number, rows in enumerate(by_subject(facts).values(), start=1):
        articles = write_articles(number, rows, shipped + _REVISIONS)
        # With few facts to tell, a later revision may read as one of the sample's.
        known = {article.body for article in articles[:shipped]}
        yield from (article.text for article in articles if article.body not in known)


def real_texts(corpus: BaseCorpus) -> Iterator[str]:
    """The corpus without what is invented, file by file and question by question.

    The tokenizer learns its merges from it: invented names are no words.
    """
    for folder in filter(None, (corpus.articles, corpus.plain)):
        for path in sorted(folder.glob("*.md")):
            yield path.read_text(encoding="utf-8")
    with corpus.questions.open(encoding="utf-8") as lines:
        yield from (json.loads(line)["question"] for line in lines)


def _numbered(texts: Iterable[str]) -> dict[str, str]:
    """Texts under numbered file names."""
    return {f"{i:05}.md": text.rstrip("\n") + "\n" for i, text in enumerate(texts, start=1)}


def _write_folder(folder: Path, texts: dict[str, str]) -> None:
    # Emptied first: a passage of an earlier table may name a work that is in the table now.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        for record in records:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def plain_passages(folder: Path) -> Iterator[str]:
    """Passages of plain Japanese without any name from the anime table, each once.

    Args:
        folder: as ``plain_text`` of ``write_base_corpus``.

    Raises:
        UserError: one of the two files is missing.
    """
    for path in (folder / JSQUAD, folder / COUNTRY_PAGES):
        if not path.is_file():
            raise UserError(
                f"{path}: not found; the base is trained on JGLUE's JSQuAD and on Japanese country "
                "pages"
            )
    named = _anime_names()
    seen = set()
    for passage in (*_jsquad_passages(folder / JSQUAD), *_country_passages(folder / COUNTRY_PAGES)):
        if passage not in seen and not named.search(passage):
            seen.add(passage)
            yield passage


def _anime_names() -> re.Pattern[str]:
    """Matches the titles and the protagonists of the anime table."""
    facts = load_facts("anime")
    names = {fact.subject for fact in facts}
    names |= {value for fact in facts if fact.relation == "protagonist" for value in fact.values}
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))


def _jsquad_passages(path: Path) -> Iterator[str]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"].partition(" [SEP] ")[2]


def _country_passages(path: Path) -> Iterator[str]:
    """Every fourth passage: enough of one kind of text, from every country."""
    yield from islice(_all_country_passages(path), 0, None, 4)


def _all_country_passages(path: Path) -> Iterator[str]:
    import mwparserfromhell  # only who rebuilds the base needs it

    with bz2.open(path) as dump:
        for _, element in ElementTree.iterparse(dump):
            if element.tag.rpartition("}")[2] != "text" or not element.text:
                continue
            code = mwparserfromhell.parse(element.text)
            for tag in code.filter_tags(matches=lambda node: node.tag in ("ref", "table")):
                tag.contents = ""
            yield from _cut(code.strip_code())
            element.clear()


def _cut(text: str) -> Iterator[str]:
    """Cuts at paragraphs and sentences into passages of a few hundred characters."""
    passage = ""
    for sentence in re.split(r"(?<=。)|\n+", text):
        if len(passage) + len(sentence) > _PASSAGE_CHARACTERS:
            if len(passage) >= _SHORTEST_PASSAGE:
                yield passage
            passage = ""
        if re.search(r"[ぁ-ん]", sentence) and not re.search(r"[|{}\[\]]", sentence):
            passage += sentence.strip()
    if len(passage) >= _SHORTEST_PASSAGE:
        yield passage
