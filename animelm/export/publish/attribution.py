"""Whose texts an adapter was trained or measured on: read from corpora, and listed in a file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animelm.corpus.output import MANIFEST
from animelm.data.sources.markdown import find_articles, read_with_front_matter
from animelm.files import write_whole
from animelm.provenance.record import DataRecord, TrainingStep
from animelm.reading import json_lines

ATTRIBUTION = "ATTRIBUTION.md"
UNKNOWN = "unknown"
_HEAD = """\
# Attribution

The model was trained on texts from those below; some were held out, to measure what it learned.
They are the work of the authors that the pages' histories name, and were changed: markup was
removed, and they were cut into tokens. Texts under CC BY-SA may be passed on, and built upon, under
the same license and with these names.
"""


@dataclass(frozen=True)
class Credit:
    """One article.

    Attributes:
        title: its title.
        source: where it comes from.
        revision: the revision of the page, or empty.
        license: license of the text, or ``UNKNOWN``.
    """

    title: str
    source: str
    revision: str
    license: str

    @property
    def line(self) -> str:
        revision = f", revision {self.revision}" if self.revision else ""
        return f"- {self.title}: {self.source or UNKNOWN}{revision}, {self.license}"


@dataclass(frozen=True)
class CreditedData:
    """One source of training data, and the licenses of its texts.

    Attributes:
        record: the source, as the adapter's record names it.
        licenses: number of texts by license; empty where the source cannot be read any more.
    """

    record: DataRecord
    licenses: dict[str, int]


def write_attribution(steps: Sequence[TrainingStep], folder: Path) -> list[CreditedData]:
    """Writes ``ATTRIBUTION.md``, if the record names articles that can be read.

    Args:
        steps: the adapter's record.
        folder: of the export.

    Returns:
        Every source of training data, each once.
    """
    sources = {(each.role, each.sha256): each for step in steps for each in step.data}
    credited, sections = [], [_HEAD]
    for record in sources.values():
        found = credits_of(Path(record.path)) if record.role.endswith("articles") else []
        credited.append(CreditedData(record, dict(Counter(each.license for each in found))))
        if found:
            lines = dict.fromkeys(each.line for each in found)
            sections.append("\n".join([f"## {record.path}", "", *lines, ""]))
    if len(sections) > 1:
        write_whole(folder / ATTRIBUTION, "\n".join(sections))
    return credited


def credits_of(folder: Path) -> list[Credit]:
    """The articles of a folder, from its corpus's manifest or from their front matter."""
    manifest = folder.parent / MANIFEST
    if manifest.is_file():
        return _credits(values for _, values in json_lines(manifest))
    if not folder.is_dir() or not any(folder.rglob("*.md")):
        return []
    return _credits(
        {"title": path.stem} | read_with_front_matter(path)[0] for path in find_articles(folder)
    )


def _credits(entries: Iterable[dict[str, Any]]) -> list[Credit]:
    return [
        Credit(
            _text(each.get("title")),
            _text(each.get("source")),
            _text(each.get("revision")),
            _text(each.get("license")) or UNKNOWN,
        )
        for each in entries
    ]


def _text(value: Any) -> str:
    """One line; a list becomes its items."""
    items = value if isinstance(value, list) else [value]
    return ", ".join(" ".join(str(item).split()) for item in items if item is not None)
