"""Reads MediaWiki XML exports, plain or compressed, as a stream in segments.

A dump is divided into segments that several processes or machines can scan independently: anywhere
in plain XML, between the streams of a multistream bzip2 file. A page belongs to the segment in
which its ``<page>`` begins. Gzip, xz, Zstandard, and bzip2 of a single stream, can only be unpacked
from the beginning; such a file is one segment.

MediaWiki escapes ``<`` in all text, so the bytes ``<page>`` are the tag and nothing else: pages are
found without parsing XML. A selected page is parsed on its own, without the document around it, so
no DTD can define entities or name files to be fetched.
"""

import bz2
import glob
import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, Literal

from backports import zstd

from animelm.errors import UserError

Compression = Literal["none", "gzip", "bzip2", "xz", "zstd"]

FORMS = ".xml, .xml.bz2, .xml.gz, .xml.xz or .xml.zst"
"""The forms of a dump that can be read, for messages."""

CHUNK = 1 << 20
_WHOLE = 1 << 62  # longer than any file
_SEGMENT = {"none": 64 << 20, "gzip": _WHOLE, "bzip2": 8 << 20, "xz": _WHOLE, "zstd": _WHOLE}
_MARKS: dict[bytes, Compression] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
# Marks of archives, which hold files instead of being one.
_ARCHIVES = {b"7z\xbc\xaf\x27\x1c": "7z", b"PK\x03\x04": "zip", b"Rar!": "RAR"}
# Level 1 to 9, then the mark of a stream's first block.
_BZIP2_STREAM = re.compile(rb"BZh[1-9]\x31\x41\x59\x26\x53\x59")
_LONGEST_MARK = 10


@dataclass(frozen=True)
class Segment:
    """A part of a dump file that is scanned as a unit.

    Attributes:
        path: the file.
        compression: its compression.
        start: first byte of the segment in the file.
        end: first byte after the segment.
    """

    path: Path
    compression: Compression
    start: int
    end: int

    def place(self, offset: int) -> str:
        """Names the place of a byte of the segment's XML, for messages.

        Args:
            offset: offset of the byte from the beginning of the segment's XML.
        """
        if self.compression == "none":
            return f"byte {self.start + offset}"
        origin = f" from byte {self.start} of the file" if self.start else ""
        return f"byte {offset} of the XML unpacked{origin}"


@dataclass(frozen=True)
class DumpFile:
    """A dump file and its segments.

    Attributes:
        path: the file.
        compression: its compression.
        size: size of the file in bytes.
        sha256: SHA-256 of the file, hexadecimal.
        segments: its segments, in order.
    """

    path: Path
    compression: Compression
    size: int
    sha256: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Chunk:
    """A piece of unpacked XML.

    Attributes:
        text: the bytes.
        origin: byte of the file from which they can be unpacked; for plain XML, their own offset.
        progress: bytes of the file read so far.
    """

    text: bytes
    origin: int
    progress: int


def find_dumps(patterns: Sequence[str]) -> list[Path]:
    """The files that match names or patterns such as ``dumps/*.bz2``.

    Returns:
        Each file once; those of one pattern sorted by their path.

    Raises:
        UserError: no file matches a name or pattern.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        names = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        paths = [Path(name) for name in names if Path(name).is_file()]
        if not paths:
            raise UserError(
                f"--dump {pattern}: no such file; expected a MediaWiki export ({FORMS}), or a "
                "pattern such as 'dumps/*.xml.bz2'"
            )
        found |= dict.fromkeys(paths)
    return list(found)


def describe_dump(path: Path) -> DumpFile:
    """Reads a file once, to compute its hash and its segments.

    Raises:
        UserError: it cannot be read, or it is an archive.
    """
    total, size, streams, tail = hashlib.sha256(), 0, [0], b""
    compression: Compression = "none"
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                if not size:
                    compression = _compression(chunk, path)
                total.update(chunk)
                if compression == "bzip2":
                    # A stream's mark may begin in the last chunk and end in this one.
                    window = tail + chunk
                    base = size - len(tail)
                    streams += [base + mark.start() for mark in _BZIP2_STREAM.finditer(window)]
                    tail = window[-(_LONGEST_MARK - 1) :]
                size += len(chunk)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if compression == "none":
        streams = list(range(0, max(size, 1), _SEGMENT["none"]))
    starts = _thinned(streams, _SEGMENT[compression])
    ends = [*starts[1:], size]
    segments = tuple(
        Segment(path, compression, start, end) for start, end in zip(starts, ends, strict=True)
    )
    return DumpFile(path, compression, size, total.hexdigest(), segments)


def _compression(beginning: bytes, path: Path) -> Compression:
    for mark, kind in _ARCHIVES.items():
        if beginning.startswith(mark):
            raise UserError(
                f"{path}: a {kind} archive, which cannot be read; unpack it, and give the XML in "
                f"it, as it is or compressed ({FORMS})"
            )
    return next((name for mark, name in _MARKS.items() if beginning.startswith(mark)), "none")


def _thinned(starts: list[int], distance: int) -> list[int]:
    """Of sorted offsets, the first and those at least ``distance`` after the last one kept."""
    kept: list[int] = []
    for start in starts:
        if not kept or start - kept[-1] >= distance:
            kept.append(start)
    return kept


def unpacked(segment: Segment) -> Iterator[Chunk]:
    """The XML from the beginning of a segment to the end of its file.

    Raises:
        UserError: the file cannot be read, or is damaged or truncated; the message names the byte.
    """
    unpacked_bytes = 0
    try:
        with segment.path.open("rb") as file:
            file.seek(segment.start)
            for chunk in _UNPACK[segment.compression](file, segment):
                unpacked_bytes += len(chunk.text)
                yield chunk
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(
            f"{segment.path}: damaged or truncated at {segment.place(unpacked_bytes)}: {reason}"
        ) from error


def _plain_chunks(file: BinaryIO, segment: Segment) -> Iterator[Chunk]:
    position = segment.start
    while True:
        # A chunk ends where the segment ends, so that its origin tells whether it is inside.
        wanted = min(CHUNK, segment.end - position) if position < segment.end else CHUNK
        text = file.read(wanted)
        if not text:
            return
        yield Chunk(text, position, position + len(text))
        position += len(text)


def _gzip_chunks(file: BinaryIO, segment: Segment) -> Iterator[Chunk]:
    with gzip.GzipFile(fileobj=file) as unpacking:
        yield from _chunks_of(unpacking, file)


def _xz_chunks(file: BinaryIO, segment: Segment) -> Iterator[Chunk]:
    with lzma.LZMAFile(file) as unpacking:
        yield from _chunks_of(unpacking, file)


def _zstd_chunks(file: BinaryIO, segment: Segment) -> Iterator[Chunk]:
    with zstd.ZstdFile(file) as unpacking:
        yield from _chunks_of(unpacking, file)


def _chunks_of(unpacking: BufferedIOBase, file: BinaryIO) -> Iterator[Chunk]:
    while text := unpacking.read(CHUNK):
        yield Chunk(text, 0, file.tell())


def _bzip2_chunks(file: BinaryIO, segment: Segment) -> Iterator[Chunk]:
    origin, packed = segment.start, b""
    while packed := packed or file.read(CHUNK):
        decoder = bz2.BZ2Decompressor()
        while not decoder.eof:
            text = decoder.decompress(packed, CHUNK)
            if text:
                yield Chunk(text, origin, file.tell())
            packed = b""
            if decoder.needs_input and not decoder.eof:
                packed = file.read(CHUNK)
                if not packed:
                    raise EOFError(f"the bzip2 stream at byte {origin} of the file does not end")
        packed = decoder.unused_data
        origin = file.tell() - len(packed)


_UNPACK: dict[Compression, Callable[[BinaryIO, Segment], Iterator[Chunk]]] = {
    "none": _plain_chunks,
    "gzip": _gzip_chunks,
    "bzip2": _bzip2_chunks,
    "xz": _xz_chunks,
    "zstd": _zstd_chunks,
}
