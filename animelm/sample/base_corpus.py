"""The text that the embedded base is trained on: general facts, exercises in reading, plain Japanese.

No anime fact is in it: a passage that names a work or a protagonist of the anime table is left out.
"""

import bz2
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from animelm.errors import UserError
from animelm.sample.articles import write_article
from animelm.sample.facts import by_subject, load_facts
from animelm.sample.invented import reading_records
from animelm.sample.questions import write_questions

JSQUAD = Path("qa/jsquad-v1.3-valid.json")
COUNTRY_PAGES = Path("dumps/jawiki-countries.xml.bz2")
_PASSAGE_CHARACTERS = 400
_SHORTEST_PASSAGE = 60


@dataclass(frozen=True)
class BaseCorpus:
    """What ``write_base_corpus`` wrote.

    Attributes:
        articles: folder of Markdown on the general facts.
        plain: folder of Markdown with plain Japanese; None without a source of it.
        questions: QA records on the general facts.
        reading: QA records on passages about invented subjects.
    """

    articles: Path
    plain: Path | None
    questions: Path
    reading: Path


def write_base_corpus(folder: Path, plain_text: Path | None, reading: int = 14_000, seed: int = 0) -> BaseCorpus:
    """Writes the base's training text.

    Args:
        folder: where to; emptied files of the same names are replaced.
        plain_text: folder that holds ``qa/jsquad-v1.3-valid.json`` (JGLUE) and
            ``dumps/jawiki-countries.xml.bz2`` (Japanese country pages); None: no plain Japanese.
        reading: how many reading exercises.
        seed: of the invented names.

    Raises:
        UserError: ``plain_text`` lacks one of its two files.
    """
    corpus = BaseCorpus(
        folder / "articles", folder / "plain" if plain_text else None, folder / "general.jsonl", folder / "reading.jsonl"
    )
    facts = load_facts("general")
    corpus.articles.mkdir(parents=True, exist_ok=True)
    for number, (subject, rows) in enumerate(by_subject(facts).items(), start=1):
        (corpus.articles / f"{number:04}.md").write_text(write_article(number, rows).text, encoding="utf-8")
    _write_lines(corpus.questions, write_questions(facts, "general"))
    _write_lines(corpus.reading, reading_records(reading, seed))
    if plain_text and corpus.plain:
        corpus.plain.mkdir(exist_ok=True)
        for number, passage in enumerate(plain_passages(plain_text), start=1):
            (corpus.plain / f"{number:05}.md").write_text(passage + "\n", encoding="utf-8")
    return corpus


def corpus_texts(corpus: BaseCorpus) -> Iterator[str]:
    """The corpus's text, file by file and question by question, for the tokenizer's training."""
    for folder in filter(None, (corpus.articles, corpus.plain)):
        for path in sorted(folder.glob("*.md")):
            yield path.read_text(encoding="utf-8")
    for path in (corpus.questions, corpus.reading):
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line)["question"] for line in lines)


def _write_lines(path: Path, records: Iterator[dict] | list[dict]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        for record in records:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def plain_passages(folder: Path) -> Iterator[str]:
    """Passages of plain Japanese without any name from the anime table, each once."""
    for path in (folder / JSQUAD, folder / COUNTRY_PAGES):
        if not path.is_file():
            raise UserError(f"{path}: not found; the base is trained on JGLUE's JSQuAD and Japanese country pages")
    anime_names = {fact.subject for fact in load_facts("anime")} | {
        fact.value for fact in load_facts("anime") if fact.relation == "protagonist"
    }
    named = re.compile("|".join(map(re.escape, sorted(anime_names, key=len, reverse=True))))
    seen = set()
    for passage in (*_jsquad_passages(folder / JSQUAD), *_country_passages(folder / COUNTRY_PAGES)):
        if passage not in seen and not named.search(passage):
            seen.add(passage)
            yield passage


def _jsquad_passages(path: Path) -> Iterator[str]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"].partition(" [SEP] ")[2]


def _country_passages(path: Path) -> Iterator[str]:
    import mwparserfromhell  # only who rebuilds the base needs it

    with bz2.open(path) as dump:
        for _, element in ElementTree.iterparse(dump):
            if element.tag.rpartition("}")[2] == "text" and element.text:
                code = mwparserfromhell.parse(element.text)
                for tag in code.filter_tags(matches=lambda node: node.tag in ("ref", "table")):
                    try:
                        code.remove(tag)
                    except ValueError:  # went with a tag around it
                        continue
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
