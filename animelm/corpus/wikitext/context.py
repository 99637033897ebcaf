"""What the steps of one page share."""

import re
from dataclasses import dataclass, field

from animelm.corpus.wikitext.strip_markers import BLOCK, BLOCK_CLOSE, BLOCK_OPEN

_KANA = re.compile("[ぁ-ヿ]")
_LANGUAGE_SAMPLE = 4_000


class TooDeepError(ValueError):
    """Markup is nested deeper than any page that readers can see; the message says which."""


@dataclass(frozen=True)
class Box:
    """The facts of a template that is no infobox by its name: it may be a row of a table.

    Attributes:
        name: of the template.
        facts: field and value, each in one line.
    """

    name: str
    facts: tuple[tuple[str, str], ...]


@dataclass
class Context:
    """The page in work.

    Attributes:
        title: the page's title.
        language: ``ja`` or ``en``: the language of labels that the renderer itself writes.
        categories: names without prefix, each once.
        blocks: finished Markdown, each item referred to by one mark (``marks.BLOCK``).
        boxes: by their mark, those that make one table where they follow each other.
    """

    title: str
    language: str = "en"
    categories: dict[str, None] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    boxes: dict[str, Box] = field(default_factory=dict)

    def keep_block(self, markdown: str) -> str:
        """The mark that stands for a finished block from now on."""
        self.blocks.append(markdown)
        return f"{BLOCK_OPEN}{len(self.blocks) - 1}{BLOCK_CLOSE}"

    def resolve(self, text: str) -> str:
        """The text with every mark, also those within blocks, replaced by its block."""
        pieces: list[str] = []
        stack = [text]
        while stack:
            # Odd places of the split hold the numbers of blocks.
            parts = BLOCK.split(stack.pop())
            if len(parts) == 1:
                pieces.append(parts[0])
                continue
            for index in range(len(parts) - 1, -1, -1):
                stack.append(self.blocks[int(parts[index])] if index % 2 else parts[index])
        return "".join(pieces)


def language_of(text: str) -> str:
    """``ja`` when one character in twenty at the page's beginning is kana, else ``en``."""
    sample = text[:_LANGUAGE_SAMPLE]
    return "ja" if len(_KANA.findall(sample)) * 20 >= max(len(sample), 1) else "en"
