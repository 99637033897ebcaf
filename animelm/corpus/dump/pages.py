"""The pages of a dump: found by their tags without an XML parser, parsed when selected."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from html import unescape
from xml.parsers import expat

from animelm.corpus.dump.reader import FORMS, Chunk, Segment
from animelm.errors import UserError
from animelm.reading import LONGEST_TEXT

# A packed file of a few megabytes can unpack to any size.
_LONGEST_PAGE = 64 << 20
_LONGEST_HEAD = 16 << 20
_LONGEST_SPACE = 1 << 20
_BEGIN, _END, _LAST = b"<page>", b"</page>", b"</mediawiki>"
_NO_SPACE = re.compile(rb"[^ \t\r\n]")
_NUMBER = re.compile(r"\s*[0-9]{1,18}\s*")
_TITLE = re.compile(rb"<title>(.*?)</title>", re.S)
# Byte of the stream, number and title of a page.
_INDEX_LINE = re.compile(rb"\d+:\d+:[^\n]+\n")
_NAMESPACE = re.compile(rb'<namespace key="(-?\d{1,9})"[^>]*?(?:/>|>([^<]*)</namespace>)')


@dataclass(frozen=True)
class SiteInfo:
    """What the head of a dump says about its wiki.

    Attributes:
        base: address of the wiki's main page, or empty.
        language: code such as ja, or empty.
        namespaces: name of each namespace by its number; that of articles, number 0, is empty.
    """

    base: str
    language: str
    namespaces: dict[int, str]


@dataclass(frozen=True)
class Page:
    """A parsed page.

    Attributes:
        title: title, with the name of the namespace.
        page_id: number of the page.
        revision: number of its last revision in the dump.
        text: wikitext of that revision.
        day: when that revision was written; None if the dump does not say.
    """

    title: str
    page_id: int
    revision: int
    text: str
    day: date | None = None


class PageXMLError(UserError):
    """A page that is not as MediaWiki writes it.

    Attributes:
        reason: what is wrong.
        offset: where, in bytes from the beginning of the page.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset} of the page)")
        self.reason = reason
        self.offset = offset


class _Window:
    """The part of a segment's XML that is in memory."""

    def __init__(self, segment: Segment, chunks: Iterator[Chunk]) -> None:
        self.segment = segment
        self.held = bytearray()
        self.base = 0  # offset of the first byte in memory, from the segment's beginning
        self.limit: int | None = None  # offset of the first byte that belongs to the next segment
        self.origins: dict[int, int] = {}  # where each stream begins: byte of the file, offset
        self._chunks = chunks

    def grow(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        end = self.base + len(self.held)
        if chunk.origin < self.segment.end:
            self.origins.setdefault(chunk.origin, end)
        elif self.limit is None:
            self.limit = end
        self.held += chunk.text
        return True

    def find(self, tag: bytes, start: int) -> int:
        """Offset of a tag at or after one; -1 when the file ends before."""
        begin = start - self.base
        while True:
            found = self.held.find(tag, begin)
            if found >= 0:
                return self.base + found
            begin = max(begin, len(self.held) - len(tag) + 1)
            if len(self.held) > _LONGEST_PAGE + (start - self.base) or not self.grow():
                return -1

    def skip_space(self, start: int) -> int:
        """Offset of the first byte at or after one that is no white space, or of the file's end.

        Raises:
            UserError: there is more white space than in any export.
        """
        position = start - self.base
        while True:
            found = _NO_SPACE.search(self.held, position)
            position = found.start() if found else len(self.held)
            if self.base + position - start > _LONGEST_SPACE:
                raise self.damage(start, f"more than {_LONGEST_SPACE >> 20} MiB of white space")
            # Long enough to distinguish the tags.
            if len(self.held) - position >= len(_LAST) or not self.grow():
                return self.base + position

    def starts_with(self, tag: bytes, offset: int) -> bool:
        return self.held.startswith(tag, offset - self.base)

    def holds(self, offset: int) -> bool:
        return offset < self.base + len(self.held)

    def cut(self, begin: int, end: int) -> bytes:
        """Returns the bytes between two offsets, and drops them and all before."""
        found = bytes(self.held[begin - self.base : end - self.base])
        del self.held[: end - self.base]
        self.base = end
        return found

    def damage(self, offset: int, what: str) -> UserError:
        return UserError(f"{self.segment.path}: {self.segment.place(offset)}: {what}")


class PageStream:
    """The pages that begin in a segment.

    Args:
        segment: the segment.
        chunks: its XML, by ``unpacked``.

    Attributes:
        head: the XML before the first page; in the first segment, the description of the wiki.
        length: length of the segment's XML in bytes, known when all pages have been read.
        origins: byte of the file where each compressed stream begins, with the offset of its XML
            within the segment's.
    """

    def __init__(self, segment: Segment, chunks: Iterator[Chunk]) -> None:
        self._segment = segment
        self._window = _Window(segment, chunks)
        self.head = b""
        self.length = 0

    @property
    def origins(self) -> dict[int, int]:
        return self._window.origins

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """The offset of each page within the segment's XML, and its bytes with their tags.

        Raises:
            UserError: not a MediaWiki export, damaged, or truncated; the message names the byte
                and the page, if any.
        """
        window, title = self._window, "none"
        position = self._skip_head()
        while window.limit is None or position < window.limit:
            if window.starts_with(_LAST, position):
                self.length = window.skip_space(position + len(_LAST))
                if window.holds(self.length):
                    raise window.damage(
                        self.length,
                        "there is text after </mediawiki>; expected one export per file",
                    )
                return
            if not window.starts_with(_BEGIN, position):
                raise window.damage(
                    position, f"expected <page> or </mediawiki> after the page {title}"
                )
            end = window.find(_END, position)
            if end < 0:
                title = _title(bytes(window.held[position - window.base :][:4096]))
                raise window.damage(
                    position,
                    f"page {title} begins here and does not end; expected </page> within "
                    f"{_LONGEST_PAGE >> 20} MiB",
                )
            end += len(_END)
            span = window.cut(position, end)
            title = _title(span)
            if span.find(_BEGIN, 1) >= 0:
                inner = span.rfind(_BEGIN)
                raise window.damage(
                    position,
                    f"page {title} begins here and does not end before "
                    f"{self._segment.place(position + inner)}, where page "
                    f"{_title(span[inner:])} begins",
                )
            yield position, span
            position = window.skip_space(end)
        self.length = window.limit

    def _skip_head(self) -> int:
        window = self._window
        is_first = self._segment.start == 0
        position = 0
        limit = _LONGEST_HEAD if is_first else _LONGEST_PAGE
        while True:
            found = window.held.find(_BEGIN, position)
            last = window.held.find(_LAST, position)
            if found < 0 <= last:
                found = last
            if found >= 0:
                break
            position = max(0, len(window.held) - len(_LAST))
            if is_first and len(window.held) > 4096 and b"<mediawiki" not in window.held:
                break
            if len(window.held) > limit:
                raise window.damage(0, f"no page begins within {limit >> 20} MiB")
            if not window.grow():
                break
        if is_first and b"<mediawiki" not in window.held[: max(found, 4096)]:
            raise UserError(f"{self._segment.path}: {_other_kind(window.held)}")
        if found < 0:
            raise window.damage(len(window.held), "the file ends without </mediawiki>")
        self.head = window.cut(0, found)
        return found


def _other_kind(beginning: bytes | bytearray) -> str:
    """What a file without ``<mediawiki>`` is, for messages."""
    expected = f"expected XML in UTF-8 that begins with <mediawiki> ({FORMS})"
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or b"<\0m\0e\0d" in beginning[:4096]:
        return f"UTF-16; {expected}: convert it (iconv -f UTF-16 -t UTF-8)"
    if _INDEX_LINE.match(beginning):
        return f"the index of a multistream dump; name the dump itself; {expected}"
    if b"INSERT INTO" in beginning[:4096] or b"CREATE TABLE" in beginning[:4096]:
        return f"a table in SQL; {expected}, such as …-pages-articles.xml.bz2"
    return f"not a MediaWiki export; {expected}"


def _title(span: bytes) -> str:
    found = _TITLE.search(span)
    return repr(unescape(found[1].decode("utf-8", "replace"))) if found else "without a title"


def read_site(head: bytes) -> SiteInfo:
    """Reads the description of the wiki from the head of a dump; empty if there is none."""

    def first(pattern: bytes) -> str:
        found = re.search(pattern, head)
        return unescape(found[1].decode("utf-8", "replace")) if found else ""

    namespaces = {
        int(key): unescape(name.decode("utf-8", "replace"))
        for key, name in _NAMESPACE.findall(head)
    }
    return SiteInfo(
        first(rb"<base>([^<]*)</base>"), first(rb'<mediawiki [^>]*xml:lang="([^"]*)"'), namespaces
    )


def parse_page(span: bytes) -> Page:
    """Parses one page.

    Args:
        span: the bytes from ``<page>`` to ``</page>``, both included.

    Raises:
        PageXMLError: not well-formed, or without numbers or text.
    """
    try:
        page = ElementTree.fromstring(span)
    except ElementTree.ParseError as error:
        raise PageXMLError(
            f"not well-formed XML: {expat.ErrorString(error.code)}", _error_offset(span)
        ) from error
    revisions = page.findall("revision")
    if not revisions:
        raise PageXMLError("it has no <revision>", 0)
    text = revisions[-1].find("text")
    if text is None:
        raise PageXMLError("its last revision has no <text>", 0)
    numbers = page.findtext("id"), revisions[-1].findtext("id")
    if not all(number and _NUMBER.fullmatch(number) for number in numbers):
        raise PageXMLError("page or revision has no number in <id>", 0)
    if len(text.text or "") > LONGEST_TEXT:
        raise PageXMLError(f"its text is longer than {LONGEST_TEXT >> 20} million characters", 0)
    page_id, revision = (int(number or 0) for number in numbers)
    day = _day(revisions[-1].findtext("timestamp") or "")
    return Page(page.findtext("title") or "", page_id, revision, text.text or "", day)


def _day(timestamp: str) -> date | None:
    try:
        return datetime.fromisoformat(timestamp.strip()).date()
    except ValueError:
        return None


def _error_offset(span: bytes) -> int:
    parser = expat.ParserCreate()
    try:
        parser.Parse(span, True)
    except expat.ExpatError:
        return parser.ErrorByteIndex
    return 0
