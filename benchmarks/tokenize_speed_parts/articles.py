"""A folder of Markdown articles as long and as varied as a corpus of Wikipedia."""

import bz2
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import mwparserfromhell

# Articles are as long as those of Japanese Wikipedia: most are short, some very long. Median and
# spread in characters of a log-normal distribution, whose mean is then about 5,000.
_MEDIAN = 3_000
_SPREAD = 1.0


def write_articles(folder: Path, count: int, data: Path, seed: int = 0) -> None:
    """Writes articles made of the sentences of real pages, in random order, with other digits.

    The digits and the order keep an encoder's cache of words from knowing a text that it has seen
    before in full.

    Args:
        folder: where to; must exist.
        count: how many articles.
        data: folder with ``qa/jsquad-v1.3-valid.json`` and ``dumps/jawiki-countries.xml.bz2``.
        seed: of lengths, order and digits.
    """
    sentences = [*_jsquad(data), *_countries(data)]
    rng = random.Random(seed)
    for number in range(count):
        text = _article(sentences, round(rng.lognormvariate(0, _SPREAD) * _MEDIAN), rng)
        front_matter = f"---\ntitle: 記事{number}\npage_id: {number}\n---\n"
        path = folder / f"{number:06}.md"
        path.write_text(f"{front_matter}# 記事{number}\n\n{text}\n", encoding="utf-8")


def _article(sentences: list[str], length: int, rng: random.Random) -> str:
    parts: list[str] = []
    while length > 0:
        sentence = re.sub(r"\d", lambda _: str(rng.randrange(10)), rng.choice(sentences))
        parts += (sentence, "\n\n" if rng.random() < 0.2 else "")
        length -= len(sentence)
    return "".join(parts)


def _jsquad(data: Path) -> Iterator[str]:
    content = json.loads((data / "qa" / "jsquad-v1.3-valid.json").read_text(encoding="utf-8"))
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            yield from _sentences(paragraph["context"].partition("[SEP]")[2])


def _countries(data: Path) -> Iterator[str]:
    with bz2.open(data / "dumps" / "jawiki-countries.xml.bz2") as dump:
        for _, element in ElementTree.iterparse(dump):
            if element.tag.rpartition("}")[2] == "text" and element.text:
                yield from _sentences(mwparserfromhell.parse(element.text).strip_code())
            element.clear()


def _sentences(text: str) -> Iterator[str]:
    yield from filter(str.strip, re.split(r"(?<=[。\n])", text))
