"""Rendering a batch of chosen pages: what one worker does at a time."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from animelm.corpus.dump.pages import PageXMLError, parse_page
from animelm.corpus.dump.random_access import SeekTable
from animelm.corpus.wikitext import PageError, render_page
from animelm.files import write_whole


@dataclass(frozen=True)
class ChosenPage:
    """A page of a dump that is wanted.

    Attributes:
        offset: of its ``<page>``, in bytes of the dump's XML.
        length: bytes up to the end of ``</page>``.
        page_id: number of the page.
        title: of the page.
        categories: that it puts itself in.
        reasons: why it was chosen.
        place: where it is, for messages.
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
        table: how the file is read.
        pages: which pages.
        spans: their XML; None where the worker reads it itself.
        target: file that the result is written to.
    """

    table: SeekTable
    pages: tuple[ChosenPage, ...]
    spans: tuple[bytes, ...] | None
    target: Path


@dataclass(frozen=True)
class Rendered:
    """A page as it comes out of its wikitext.

    Attributes:
        page: which one.
        dump: name of its dump file.
        revision: number of the revision; 0 for a page that could not be parsed.
        markdown: its text, or empty.
        failure: why it could not be parsed, or empty.
    """

    page: ChosenPage
    dump: str
    revision: int
    markdown: str
    failure: str


def render_batch(batch: Batch) -> Path:
    """Renders pages and writes them to the batch's target, whole or not at all.

    A page that fails is written down with its reason; the others go on. A batch whose target is
    there was rendered before.

    Raises:
        UserError: the dump cannot be read, or the target not be written.
    """
    if batch.target.is_file():
        return batch.target
    places = [(page.offset, page.length) for page in batch.pages]
    spans = batch.table.read(places) if batch.spans is None else batch.spans
    lines = []
    for page, span in zip(batch.pages, spans, strict=True):
        rendered = _render(page, span, batch.table.path.name)
        lines.append(json.dumps(asdict(rendered), ensure_ascii=False))
    write_whole(batch.target, ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    return batch.target


def read_rendered(path: Path) -> Iterator[Rendered]:
    """What ``render_batch`` has written, in the order of the dump."""
    with path.open(encoding="utf-8", errors="surrogatepass", newline="\n") as lines:
        for line in lines:
            values = json.loads(line)
            page = values.pop("page")
            page |= {name: tuple(page[name]) for name in ("categories", "reasons")}
            yield Rendered(ChosenPage(**page), **values)


def _render(page: ChosenPage, span: bytes, dump: str) -> Rendered:
    try:
        parsed = parse_page(span)
    except PageXMLError as error:
        return Rendered(page, dump, 0, "", str(error))
    try:
        markdown = render_page(parsed.title, parsed.text).markdown
    except PageError as error:
        return Rendered(page, dump, parsed.revision, "", error.reason)
    except Exception as error:
        # One page must not end a build of many hours; it is reported with all others.
        return Rendered(page, dump, parsed.revision, "", f"{type(error).__name__}: {error}")
    return Rendered(page, dump, parsed.revision, markdown, "")
