"""State that the rendering steps of one page share."""

import re
from dataclasses import dataclass, field
from datetime import date

from animelm.corpus.wikitext.strip_markers import BLOCK, BLOCK_CLOSE, BLOCK_OPEN

_KANA = re.compile("[ぁ-ヿ]")
_LANGUAGE_SAMPLE = 4_000


class TooDeepError(ValueError):
    """Markup is nested deeper than MediaWiki itself would render; the message says which."""


@dataclass(frozen=True)
class Box:
    """The fields of a template that is not an infobox by its name: it may become a row of a table.

    Attributes:
        name: name of the template.
        facts: pairs of field and value, each on one line.
    """

    name: str
    facts: tuple[tuple[str, str], ...]


@dataclass
class Context:
    """The page that is being rendered.

    Attributes:
        title: the page's title.
        language: ``ja`` or ``en``, the language of labels that the renderer adds.
        today: the day on which the page is read; None if it is not known.
        categories: names without prefix, each once.
        blocks: finished Markdown; each is represented in the text by a marker
            (``strip_markers.BLOCK``).
        boxes: by their marker, the boxes that become one table when they are consecutive.
    """

    title: str
    language: str = "en"
    today: date | None = None
    categories: dict[str, None] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)

    def keep_block(self, markdown: str) -> str:
        """Stores a finished block and returns the marker that represents it."""
        self.blocks.append(markdown)
        return f"{BLOCK_OPEN}{len(self.blocks) - 1}{BLOCK_CLOSE}"

    def resolve(self, text: str) -> str:
        """The text with every marker, also those within blocks, replaced by its block."""
        pieces: list[str] = []
        stack = [text]
        while stack:
            # The items at odd indices are the numbers of blocks.
            parts = BLOCK.split(stack.pop())
            if len(parts) == 1:
                pieces.append(parts[0])
                continue
            for index in range(len(parts) - 1, -1, -1):
                stack.append(self.blocks[int(parts[index])] if index % 2 else parts[index])
        return "".join(pieces)


def language_of(text: str) -> str:
    """``ja`` if at least 5 % of the characters at the beginning are kana, else ``en``."""
    sample = text[:_LANGUAGE_SAMPLE]
    return "ja" if len(_KANA.findall(sample)) * 20 >= max(len(sample), 1) else "en"
