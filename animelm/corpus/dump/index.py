"""The index of a dump: one line for each page, written by a scan and kept for later selections.

An index is a folder: for each segment of the dump ``pages-NNNN.tsv`` (one line a page),
``categories-NNNN.tsv`` (the lines of category pages again) and ``segment-NNNN.json`` (how long the
segment is, from where it can be unpacked, and the hashes of the lists). The JSON file is written
last, so an interrupted scan continues with the segments that lack it; a segment whose files have
changed since is scanned again. The folder's name is a hash of the dump.
"""

import hashlib
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from animelm.corpus.dump.links import CategoryLinks
from animelm.corpus.dump.page_entry import CATEGORIES, PageCounts, PageEntry, read_entry
from animelm.corpus.dump.pages import PageStream, SiteInfo, read_site
from animelm.corpus.dump.random_access import SeekTable
from animelm.corpus.dump.reader import Chunk, DumpFile, Segment, unpacked
from animelm.corpus.parallel import run_in_order
from animelm.files import whole_file, write_errors_as_user_errors, write_whole
from animelm.locks import clear_leftovers

_LAYOUT = "3"
_LISTS = ("pages", "categories")
# MediaWiki knows the English name on every wiki, and the Japanese one on the Japanese wiki.
_CATEGORY_NAMES = ("Category", "カテゴリ")


@dataclass(frozen=True)
class _Scanned:
    """What ``segment-NNNN.json`` holds."""

    length: int
    counts: PageCounts
    origins: list[int]
    offsets: list[int]
    site: SiteInfo
    sha256: dict[str, str]


class DumpIndex:
    """The complete index of one dump file.

    Args:
        dump: the file.
        folder: folder of the index.

    Attributes:
        dump: the file.
        site: the wiki's description.
        counts: number of pages by kind.
        length: length of the XML in bytes.
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
        """The category pages, in the order of the dump."""
        return self._entries("categories")

    def place(self, offset: int) -> str:
        """Names the place of a byte of the XML, for messages."""
        segment = bisect_right(self._bases, offset, hi=len(self._bases) - 1) - 1
        return self.dump.segments[segment].place(offset - self._bases[segment])

    def _entries(self, kind: str) -> Iterator[PageEntry]:
        for number in range(len(self.dump.segments)):
            base = self._bases[number]
            path = self._folder / f"{kind}-{number:04d}.tsv"
            with path.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    yield PageEntry.from_line(line, base)


def scan_dumps(
    dumps: Sequence[DumpFile],
    cache: Path,
    executor: Executor | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[DumpIndex]:
    """Scans those segments of the dumps that have not been scanned before.

    Args:
        dumps: the files.
        cache: folder of the indexes.
        executor: runs the scans; None runs them in this process. Its workers must see the same
            files.
        advance: called with the number of bytes of the files done since its last call.

    Raises:
        UserError: a file is not a MediaWiki export, is damaged or truncated, or an index cannot be
            written.
    """
    folders = [cache / f"dump-{dump.sha256[:32]}-{_LAYOUT}" for dump in dumps]
    first: list[tuple[Segment, Path, int]] = []
    others: list[tuple[Segment, Path, int]] = []
    for dump, folder in zip(dumps, folders, strict=True):
        with write_errors_as_user_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
        for number, segment in enumerate(dump.segments):
            if _is_scanned(folder, number):
                advance(segment.end - segment.start)
            else:
                (others if number else first).append((segment, folder, number))
    # Only the first segment holds the names of the namespaces, so the others wait for it.
    for missing in (first, others):
        if executor is None or len(missing) == 1:
            for segment, folder, number in missing:
                scan_segment(segment, folder, number, advance)
        else:
            for done in run_in_order(executor, scan_segment, missing):
                advance(done)
    return [DumpIndex(dump, folder) for dump, folder in zip(dumps, folders, strict=True)]


def scan_segment(
    segment: Segment, folder: Path, number: int, advance: Callable[[int], None] | None = None
) -> int:
    """Writes a segment's part of the index.

    Args:
        segment: the segment.
        folder: folder of the index. The first segment must be scanned before any other.
        number: number of the segment in its dump.
        advance: called with the number of bytes of the file done since its last call.

    Returns:
        Length of the segment in bytes of the file.

    Raises:
        UserError: as ``scan_dumps``.
    """
    stream = PageStream(segment, _with_progress(segment, advance))
    site = SiteInfo("", "", {}) if number == 0 else _read_scanned(folder, 0).site
    links: CategoryLinks | None = None
    counts: Counter[str] = Counter()
    with _IndexLines(folder, number) as lines:
        for offset, span in stream:
            if links is None:
                site = read_site(stream.head) if number == 0 else site
                links = CategoryLinks((*_CATEGORY_NAMES, site.namespaces.get(CATEGORIES, "")))
            entry = read_entry(segment, offset, span, links)
            counts[entry.kind] += 1
            lines.write(entry)
    # Plain XML can be read from anywhere and needs no list of its chunks.
    origins = stream.origins if segment.compression == "bzip2" else {segment.start: 0}
    scanned = _Scanned(
        stream.length,
        PageCounts(**counts),
        list(origins),
        list(origins.values()),
        site,
        _hashes(folder, number),
    )
    values = json.dumps(asdict(scanned))
    text = json.dumps({"values": values, "sha256": _hash(values.encode())})
    write_whole(folder / f"segment-{number:04d}.json", text)
    return segment.end - segment.start


def _with_progress(segment: Segment, advance: Callable[[int], None] | None) -> Iterator[Chunk]:
    done = segment.start
    for chunk in unpacked(segment):
        progress = min(chunk.progress, segment.end)
        if advance is not None:
            advance(progress - done)
        done = progress
        yield chunk


class _IndexLines:
    """The two lists of a segment, which get their names when both are complete."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number

    def __enter__(self) -> "_IndexLines":
        with write_errors_as_user_errors(self._folder), ExitStack() as files:
            self._pages, self._categories = (
                files.enter_context(
                    files.enter_context(
                        whole_file(self._folder / f"{kind}-{self._number:04d}.tsv")
                    ).open("w", encoding="utf-8", newline="\n")
                )
                for kind in _LISTS
            )
            self._files = files.pop_all()
        return self

    def write(self, entry: PageEntry) -> None:
        line = entry.line()
        with write_errors_as_user_errors(self._folder):
            self._pages.write(line)
            if entry.namespace == CATEGORIES:
                self._categories.write(line)

    def __exit__(self, *exception: Any) -> None:
        with write_errors_as_user_errors(self._folder):
            self._files.__exit__(*exception)


def _read_scanned(folder: Path, number: int) -> _Scanned:
    text = (folder / f"segment-{number:04d}.json").read_text("utf-8")
    values = json.loads(json.loads(text)["values"])
    site = values["site"]
    site["namespaces"] = {int(key): name for key, name in site["namespaces"].items()}
    return _Scanned(
        values["length"],
        PageCounts(**values["counts"]),
        values["origins"],
        values["offsets"],
        SiteInfo(**site),
        values["sha256"],
    )


def _is_scanned(folder: Path, number: int) -> bool:
    """Whether a segment's part of the index is there, as it was written."""
    try:
        content = json.loads((folder / f"segment-{number:04d}.json").read_text("utf-8"))
        if _hash(content["values"].encode()) != content["sha256"]:
            return False
        return _read_scanned(folder, number).sha256 == _hashes(folder, number)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _hashes(folder: Path, number: int) -> dict[str, str]:
    found = {}
    for kind in _LISTS:
        with (folder / f"{kind}-{number:04d}.tsv").open("rb") as file:
            found[kind] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
