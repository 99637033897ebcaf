"""Renders a batch of selected pages to Markdown: the task of one worker."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from animelm.corpus.dump.pages import PageXMLError, parse_page
from animelm.corpus.dump.random_access import SeekTable
from animelm.corpus.wikitext import PageError, render_page
from animelm.files import write_whole

# As Wikimedia names dumps: jawiki-20240101-pages-articles.xml.bz2.
_DAY_IN_NAME = re.compile(r"-((?:19|20)\d{6})-")


@dataclass(frozen=True)
class SelectedPage:
    """A selected page of a dump.

    Attributes:
        offset: offset of its ``<page>``, in bytes of the dump's XML.
        length: bytes up to the end of ``</page>``.
        page_id: number of the page.
        title: title of the page.
        categories: categories that it is in according to its own text.
        reasons: why it was selected.
        place: its place in the dump, for messages.
    """

    offset: int
    length: int
    page_id: int
    title: str
    categories: tuple[str, ...]
    reasons: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Batch:
    """Pages of one dump file that are rendered together.

    Attributes:
        table: seek table of the file.
        pages: the pages.
        spans: their XML; None if the worker is to read it.
        target: file to write the result to.
    """

    table: SeekTable
    pages: tuple[SelectedPage, ...]
    spans: tuple[bytes, ...] | None
    target: Path


@dataclass(frozen=True)
class Rendered:
    """The result for one page.

    Attributes:
        page: the page.
        dump: name of its dump file.
        revision: number of the revision; 0 for a page that could not be parsed.
        markdown: its text, or empty.
        failure: why it could not be parsed; empty if it could.
    """

    page: SelectedPage
    dump: str
    revision: int
    markdown: str
    failure: str


def render_batch(batch: Batch) -> Path:
    """Renders pages and writes them to the target of the batch, whole or not at all.

    A page that fails is written with the reason. A batch whose target exists, unchanged since it
    was written, is not rendered again.

    Raises:
        UserError: the dump cannot be read, or the target cannot be written.
    """
    if is_rendered(batch.target):
        return batch.target
    places = [(page.offset, page.length) for page in batch.pages]
    spans = batch.table.read(places) if batch.spans is None else batch.spans
    lines = []
    for page, span in zip(batch.pages, spans, strict=True):
        rendered = _render(page, span, batch.table.path.name)
        lines.append(json.dumps(asdict(rendered), ensure_ascii=False))
    content = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    write_whole(batch.target, f"{hashlib.sha256(content).hexdigest()}\n".encode() + content)
    return batch.target


def is_rendered(path: Path) -> bool:
    """Whether the file is there, and its first line is the hash of the others."""
    try:
        with path.open("rb") as file:
            first = file.readline()
            return first.decode().rstrip() == hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, UnicodeDecodeError):
        return False


def read_rendered(path: Path) -> Iterator[Rendered]:
    """Reads what ``render_batch`` has written, in the order of the dump."""
    with path.open(encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        for line in islice(lines, 1, None):  # the first is a hash
            values = json.loads(line)
            page = values.pop("page")
            page |= {name: tuple(page[name]) for name in ("categories", "reasons")}
            yield Rendered(SelectedPage(**page), **values)


def _render(page: SelectedPage, span: bytes, dump: str) -> Rendered:
    try:
        parsed = parse_page(span)
    except PageXMLError as error:
        return Rendered(page, dump, 0, "", str(error))
    try:
        today = _day_of_dump(dump) or parsed.day
        markdown = render_page(parsed.title, parsed.text, today).markdown
    except PageError as error:
        return Rendered(page, dump, parsed.revision, "", error.reason)
    except Exception as error:
        # One page must not end a build of many hours; it is reported as left out.
        return Rendered(page, dump, parsed.revision, "", f"{type(error).__name__}: {error}")
    return Rendered(page, dump, parsed.revision, markdown, "")


def _day_of_dump(name: str) -> date | None:
    """The day in the name of a dump file; None if there is none."""
    found = _DAY_IN_NAME.search(name)
    try:
        return datetime.strptime(found[1], "%Y%m%d").date() if found else None
    except ValueError:
        return None
