"""Values of the infoboxes that an article holds as Markdown tables."""

import re
from collections.abc import Iterator

from animelm.corpus.wikitext.templates.infobox import HEADERS

_ROW = re.compile(r"\|(.*?)(?<!\\)\|(.*)(?<!\\)\|\s*")
_RULE = re.compile(r"\|[\s:|-]+\|\s*")
_BETWEEN = re.compile(r"\s*(?:[、,，/／;；]|<br\s*/?>)\s*")
_IN_BRACKETS = re.compile(r"\s*[（(][^（）()]*[）)]")
_LONGEST = 30  # characters of a value that may be a short answer
_NO_NAME = re.compile(r"[ぁ-ん]{0,3}|[\d.,]*|.")


def infobox_values(text: str) -> list[str]:
    """The values of an article's infoboxes, as ``corpus build`` writes these, each once.

    Lists are cut into their parts, and what stands in brackets behind a value is left out. Numbers
    without a unit, single characters and longer texts are no values.
    """
    found = (part for cell in _cells(text) for part in _BETWEEN.split(cell))
    values = (_IN_BRACKETS.sub("", part).strip().replace("\\|", "|") for part in found)
    return list(
        dict.fromkeys(
            value for value in values if len(value) <= _LONGEST and not _NO_NAME.fullmatch(value)
        )
    )


def _cells(text: str) -> Iterator[str]:
    """The second cells of the tables whose first row is that of an infobox."""
    inside = False
    for line in text.split("\n"):
        row = _ROW.fullmatch(line)
        if row is None:
            inside = False
        elif (row[1].strip(), row[2].strip()) in HEADERS.values():
            inside = True
        elif inside and not _RULE.fullmatch(line):
            yield row[2].strip()
