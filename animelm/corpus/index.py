"""What is in a dump: a line for each page, written by one scan and kept for the next choice.

An index is a folder: for each segment of the dump ``pages-NNNN.tsv`` (one line a page),
``categories-NNNN.tsv`` (the lines of category pages again) and ``segment-NNNN.json`` (how long the
segment is, and from where it can be unpacked). The last of them is written last, so a scan that was
interrupted goes on with the segments that lack it. The folder's name is a hash of the dump.
"""

import json
import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from html import unescape
from itertools import accumulate
from pathlib import Path

from animelm.corpus.dump import DumpFile, SeekTable, Segment, unpacked
from animelm.corpus.files import told_if_unwritable, write_whole
from animelm.corpus.links import CategoryLinks, normalise_title
from animelm.corpus.pages import PageStream, SiteInfo, read_site
from animelm.corpus.tasks import in_order
from animelm.errors import UserError

ARTICLES, CATEGORIES = 0, 14
_LAYOUT = "1"
_HEAD = re.compile(
    rb"<page>\s*<title>([^<]*)</title>\s*<ns>(-?\d+)</ns>\s*<id>(\d+)</id>"
    rb'(?:\s*<redirect title="([^"]*)"\s*/>)?'
)
# MediaWiki reads the English name on every wiki; the Japanese one is an alias on the Japanese.
_CATEGORY_NAMES = ("Category", "カテゴリ")


@dataclass(frozen=True)
class PageEntry:
    """A page of the dump, as its scan describes it.

    Attributes:
        offset: of its ``<page>``, in bytes of the XML.
        length: bytes up to the end of ``</page>``.
        page_id: number of the page.
        namespace: number of its namespace; 0 for articles.
        title: with the namespace's name.
        redirect: title that it redirects to, or empty.
        categories: names of the categories that it puts itself in.
    """

    offset: int
    length: int
    page_id: int
    namespace: int
    title: str
    redirect: str
    categories: tuple[str, ...]

    @property
    def is_article(self) -> bool:
        """Whether it is an article, and no redirect."""
        return self.namespace == ARTICLES and not self.redirect

    def line(self) -> str:
        """As a line of an index."""
        numbers = (self.offset, self.length, self.page_id, self.namespace)
        fields = (*map(str, numbers), self.title, self.redirect, "|".join(self.categories))
        return "\t".join(fields) + "\n"

    @classmethod
    def from_line(cls, line: str, base: int) -> "PageEntry":
        """From a line of an index, whose offset counts from ``base``."""
        offset, length, page_id, namespace, title, redirect, names = line[:-1].split("\t")
        categories = tuple(names.split("|")) if names else ()
        return cls(
            base + int(offset),
            int(length),
            int(page_id),
            int(namespace),
            title,
            redirect,
            categories,
        )


@dataclass(frozen=True)
class PageCounts:
    """Pages of a dump by kind; those of other namespaces are neither articles nor categories."""

    articles: int = 0
    redirects: int = 0
    categories: int = 0
    others: int = 0

    def __add__(self, other: "PageCounts") -> "PageCounts":
        return PageCounts(
            self.articles + other.articles,
            self.redirects + other.redirects,
            self.categories + other.categories,
            self.others + other.others,
        )


@dataclass(frozen=True)
class _Scanned:
    """What ``segment-NNNN.json`` holds."""

    length: int
    counts: PageCounts
    origins: list[int]
    offsets: list[int]
    site: SiteInfo


class DumpIndex:
    """The index of one dump file, complete.

    Args:
        dump: the file.
        folder: of the index.

    Attributes:
        dump: the file.
        site: the wiki's description.
        counts: pages by kind.
        length: bytes of XML.
    """

    def __init__(self, dump: DumpFile, folder: Path) -> None:
        self.dump = dump
        self._folder = folder
        scanned = [_read_scanned(folder, number) for number in range(len(dump.segments))]
        self.site = scanned[0].site
        self.counts = sum((each.counts for each in scanned), PageCounts())
        self._bases = list(accumulate((each.length for each in scanned), initial=0))
        self.length = self._bases[-1]
        pairs = [
            (origin, base + offset)
            for base, each in zip(self._bases, scanned, strict=False)
            for origin, offset in zip(each.origins, each.offsets, strict=True)
        ]
        origins, offsets = zip(*pairs, strict=True)
        self.seek_table = SeekTable(dump.path, dump.compression, origins, offsets)

    def pages(self) -> Iterator[PageEntry]:
        """Every page, in the order of the dump."""
        return self._entries("pages")

    def category_pages(self) -> Iterator[PageEntry]:
        """The pages of categories, in the order of the dump."""
        return self._entries("categories")

    def place(self, offset: int) -> str:
        """Where a byte of the XML is, for messages."""
        segment = bisect_right(self._bases, offset, hi=len(self._bases) - 1) - 1
        return self.dump.segments[segment].place(offset - self._bases[segment])

    def _entries(self, kind: str) -> Iterator[PageEntry]:
        for number in range(len(self.dump.segments)):
            base = self._bases[number]
            path = self._folder / f"{kind}-{number:04d}.tsv"
            with path.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    yield PageEntry.from_line(line, base)


def index_dump(
    dump: DumpFile,
    cache: Path,
    executor: Executor | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> DumpIndex:
    """Scans a dump, or as much of it as has not been scanned before.

    Args:
        dump: the file.
        cache: folder of indexes.
        executor: scans the segments; None does it here. Its workers must see the same files.
        advance: is told how many more bytes of the file are done.

    Raises:
        UserError: the file is no MediaWiki export, is damaged or cut short, or the index cannot be
            written.
    """
    folder = cache / f"dump-{dump.sha256[:32]}-{_LAYOUT}"
    with told_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for number, segment in enumerate(dump.segments):
        if (folder / f"segment-{number:04d}.json").is_file():
            advance(segment.end - segment.start)
        else:
            missing.append((number, segment))
    if executor is None or len(missing) == 1:
        for number, segment in missing:
            scan_segment(segment, folder, number, advance)
    elif missing:
        # The first segment alone says what categories are called.
        if missing[0][0] == 0:
            number, segment = missing.pop(0)
            scan_segment(segment, folder, number, advance)
        tasks = ((segment, folder, number) for number, segment in missing)
        for segment_bytes in in_order(executor, scan_segment, tasks):
            advance(segment_bytes)
    return DumpIndex(dump, folder)


def scan_segment(
    segment: Segment, folder: Path, number: int, advance: Callable[[int], None] | None = None
) -> int:
    """Writes a segment's part of the index.

    Args:
        segment: what to scan.
        folder: of the index. The part of the first segment must be there before any other's.
        number: the segment's place in its dump.
        advance: is told how many more bytes of the file are done.

    Returns:
        Bytes of the file that the segment takes.

    Raises:
        UserError: as ``index_dump``.
    """
    done = 0

    def chunks_with_progress():
        nonlocal done
        for chunk in unpacked(segment):
            progress = min(chunk.progress, segment.end) - segment.start
            if advance is not None:
                advance(progress - done)
            done = progress
            yield chunk

    stream = PageStream(segment, chunks_with_progress())
    counts: Counter[str] = Counter()
    names = [f".{kind}-{number:04d}.{os.getpid()}.partial" for kind in ("pages", "categories")]
    links, site = None, SiteInfo("", "", {})
    with told_if_unwritable(folder):
        with (
            (folder / names[0]).open("w", encoding="utf-8", newline="\n") as pages,
            (folder / names[1]).open("w", encoding="utf-8", newline="\n") as categories,
        ):
            for offset, span in stream:
                if links is None:
                    site = read_site(stream.head) if number == 0 else _read_scanned(folder, 0).site
                    links = CategoryLinks((*_CATEGORY_NAMES, site.namespaces.get(CATEGORIES, "")))
                entry = _describe(segment, offset, span, links)
                counts[_kind(entry)] += 1
                pages.write(entry.line())
                if entry.namespace == CATEGORIES:
                    categories.write(entry.line())
        if links is None and number == 0:
            site = read_site(stream.head)
        os.replace(folder / names[0], folder / f"pages-{number:04d}.tsv")
        os.replace(folder / names[1], folder / f"categories-{number:04d}.tsv")
    seekable = segment.compression == "bzip2"
    origins = stream.origins if seekable else {segment.start: 0}
    scanned = _Scanned(
        stream.length, PageCounts(**counts), list(origins), list(origins.values()), site
    )
    write_whole(folder / f"segment-{number:04d}.json", json.dumps(asdict(scanned)).encode())
    if advance is not None:
        advance(segment.end - segment.start - done)
    return segment.end - segment.start


def _describe(segment: Segment, offset: int, span: bytes, links: CategoryLinks) -> PageEntry:
    head = _HEAD.match(span)
    if head is None:
        raise UserError(
            f"{segment.path}: {segment.place(offset)}: a page that begins with "
            f"{span[:80]!r}; expected <title>, <ns> and <id>, as MediaWiki has exported since 2012"
        )
    title, redirect = (
        " ".join(unescape(part.decode("utf-8", "replace")).split()) if part else ""
        for part in (head[1], head[4])
    )
    # The last revision is the newest; a comment on an edit may name categories as well.
    text = span.find(b"<text", span.rfind(b"<revision>"))
    namespace = int(head[2])
    has_categories = namespace in (ARTICLES, CATEGORIES) and not redirect and text >= 0
    categories = links.of(span[text:], title) if has_categories else ()
    return PageEntry(
        offset, len(span), int(head[3]), namespace, title, normalise_title(redirect), categories
    )


def _kind(entry: PageEntry) -> str:
    if entry.is_article:
        return "articles"
    if entry.redirect:
        return "redirects"
    return "categories" if entry.namespace == CATEGORIES else "others"


def _read_scanned(folder: Path, number: int) -> _Scanned:
    values = json.loads((folder / f"segment-{number:04d}.json").read_text("utf-8"))
    site = values["site"]
    site["namespaces"] = {int(key): name for key, name in site["namespaces"].items()}
    return _Scanned(
        values["length"],
        PageCounts(**values["counts"]),
        values["origins"],
        values["offsets"],
        SiteInfo(**site),
    )
