"""Reads pieces of a dump without unpacking everything before them."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from animelm.corpus.dump.reader import Compression, Segment, unpacked
from animelm.errors import UserError


@dataclass(frozen=True)
class SeekTable:
    """The bytes of a file from which its XML can be unpacked.

    Attributes:
        path: the file.
        compression: its compression.
        origins: these bytes, as offsets in the file.
        offsets: the offsets in the XML that they unpack to, from the beginning of the dump.
    """

    path: Path
    compression: Compression
    origins: tuple[int, ...]
    offsets: tuple[int, ...]

    @property
    def is_seekable(self) -> bool:
        """Whether a page can be read without unpacking everything before it."""
        return self.compression == "none" or len(self.origins) > 1

    def part(self, first: int, last: int) -> "SeekTable":
        """The part of the table that is needed for the XML between two offsets."""
        begin = max(0, bisect_right(self.offsets, first) - 1)
        end = bisect_right(self.offsets, last)
        return SeekTable(
            self.path, self.compression, self.origins[begin:end], self.offsets[begin:end]
        )

    def read(self, places: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Reads pieces of the XML.

        Args:
            places: offset and length of each piece in bytes, in the order of the dump.

        Raises:
            UserError: as ``unpacked``.
        """
        if self.compression == "none":
            with self.path.open("rb") as file:
                for offset, length in places:
                    file.seek(offset)
                    yield file.read(length)
            return
        reader = ForwardReader(self)
        for offset, length in places:
            stream = bisect_right(self.offsets, offset) - 1
            if stream > reader.stream and self.offsets[stream] > reader.end:
                reader = ForwardReader(self, stream)
            yield reader.take(offset, length)


class ForwardReader:
    """Reads pieces of a dump's XML in order, from the beginning of a compressed stream.

    Args:
        table: the table of the file.
        stream: number of the stream in the table.
    """

    def __init__(self, table: SeekTable, stream: int = 0) -> None:
        self.stream = stream
        self._base = table.offsets[stream]
        self._held = bytearray()
        self._path = table.path
        end = table.path.stat().st_size
        segment = Segment(table.path, table.compression, table.origins[stream], end)
        self._chunks = unpacked(segment)

    @property
    def end(self) -> int:
        """Offset of the first byte that has not been unpacked."""
        return self._base + len(self._held)

    def take(self, offset: int, length: int) -> bytes:
        """The bytes at an offset; those before it are dropped from memory.

        Raises:
            UserError: as ``unpacked``.
        """
        while self.end < offset + length:
            if self.end <= offset:
                self._base, self._held = self.end, bytearray()
            chunk = next(self._chunks, None)
            if chunk is None:
                raise UserError(f"{self._path}: the file became shorter while it was read")
            self._held += chunk.text
        begin = offset - self._base
        found = bytes(self._held[begin : begin + length])
        del self._held[:begin]
        self._base = offset
        return found
