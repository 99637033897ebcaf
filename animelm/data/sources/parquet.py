"""Reads rows of Parquet files, the format of most published datasets."""

import glob
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyarrow.parquet import ParquetFile

from animelm.data.sources.folder_files import find_files
from animelm.errors import UserError
from animelm.processes import bounded_memory
from animelm.reading import LONGEST_TEXT, open_regular

if TYPE_CHECKING:
    from datasets import IterableDataset

SUFFIX = ".parquet"
_ROWS_AT_ONCE = 256
# Text is packed to a tenth or a third of its size.
_LARGEST_RATIO = 100
_UNPACKED_BYTES = 512 << 20
# For a few rows. What a file says of its own sizes may be wrong.
_MEMORY = 800 << 20
_TOO_LARGE = "unpacks to far more than text does, and would fill the memory"


class Row(NamedTuple):
    """One row of a shard.

    Attributes:
        shard: the file.
        number: number of the row in the file, from 1.
        values: values by column; None where missing.
    """

    shard: Path
    number: int
    values: dict[str, Any]

    @property
    def where(self) -> str:
        """File and row, for messages."""
        return f"{self.shard}: row {self.number}"


def find_shards(path: Path, follows_links: bool = True) -> list[Path]:
    """The ``.parquet`` file itself, or those of a folder and its subfolders, sorted by path.

    Args:
        path: the file or folder.
        follows_links: whether a symbolic link to a file counts as the file; see ``find_files``.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == SUFFIX else []
    return find_files(path, [SUFFIX], follows_links).files


def column_names(shard: Path) -> list[str]:
    """The names of a file's columns, in order.

    Raises:
        UserError: it cannot be read as Parquet.
    """
    try:
        with _open(shard) as file:
            return list(file.schema_arrow.names)
    except Exception as error:
        raise _unreadable(shard, error) from error


def read_rows(shard: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Streams some columns of a file, without decoding media in them.

    Args:
        shard: the file.
        columns: the columns to read, which must exist.

    Raises:
        UserError: it cannot be read as Parquet, or unpacks to far more than text does.
    """
    number, read = 0, 0
    _require_bounded(shard, columns)
    most = _most_text(shard)
    try:
        # Arrow keeps all row groups of a scan in memory; as separate shards they are released.
        for number, values in enumerate(_stream(shard, columns).reshard(), start=1):
            lengths = [len(value) for value in values.values() if isinstance(value, str)]
            read += sum(lengths)
            if max(lengths, default=0) > LONGEST_TEXT or read > most:
                raise UserError(f"{shard}: row {number}: {_TOO_LARGE}")
            yield Row(shard, number, values)
    except UserError:
        raise
    except Exception as error:
        raise _unreadable(shard, error, number) from error


def _stream(shard: Path, columns: Sequence[str]) -> "IterableDataset":
    from datasets import IterableDataset  # takes a second; most runs read no Parquet

    # It would print the error that is raised here as well.
    logging.getLogger("datasets.packaged_modules.parquet").setLevel(logging.CRITICAL)
    # Not load_dataset("parquet"): the same reader, but every call contacts the hub to be counted.
    dataset = IterableDataset.from_parquet(
        glob.escape(str(shard.absolute())), columns=list(columns), batch_size=_ROWS_AT_ONCE
    )
    return dataset.decode(False)


def _require_bounded(shard: Path, columns: Sequence[str]) -> None:
    """Refuses what is packed so densely that a few rows fill the memory, before rows are made.

    The sizes that the file states are looked at first, and then, since they may be wrong, a few
    rows at a time are unpacked within bounds.
    """
    try:
        with _open(shard) as file:
            metadata = file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
        for chunk in chunks:
            if chunk.path_in_schema.partition(".")[0] not in columns:
                continue
            packed, unpacked = chunk.total_compressed_size, chunk.total_uncompressed_size
            # A value of the dictionary may be repeated in every row.
            first = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
            dictionary = 0 if first is None else chunk.data_page_offset - first
            rows = max(1, min(chunk.num_values, _ROWS_AT_ONCE))
            is_dense = unpacked > _LARGEST_RATIO * packed and unpacked * rows > _UNPACKED_BYTES
            if is_dense or dictionary > LONGEST_TEXT:
                name = chunk.path_in_schema
                raise UserError(f'{shard}: column "{name}": {_TOO_LARGE}')
        _unpack_once(shard, columns)
    except UserError:
        raise
    except Exception as error:
        raise _unreadable(shard, error) from error


def _most_text(shard: Path) -> int:
    """Bytes that all rows of a file may take; a file of text takes far less."""
    return max(_UNPACKED_BYTES, _LARGEST_RATIO * _LARGEST_RATIO * shard.stat().st_size)


def _unpack_once(shard: Path, columns: Sequence[str]) -> None:
    rows, room = 0, _most_text(shard)
    with _open(shard) as file:
        for group in range(file.num_row_groups):
            # Threads would need memory of their own.
            batches = file.iter_batches(_ROWS_AT_ONCE, [group], list(columns), use_threads=False)
            while True:
                try:
                    with bounded_memory(_MEMORY):
                        batch = next(batches, None)
                except MemoryError as error:
                    raise UserError(f"{shard}: after row {rows}: {_TOO_LARGE}") from error
                if batch is None:
                    break
                rows, room = rows + len(batch), room - batch.nbytes
                if room < 0:
                    raise UserError(f"{shard}: row {rows}: {_TOO_LARGE}")


def _open(shard: Path) -> ParquetFile:
    open_regular(shard).close()  # Arrow would wait for a pipe's writer
    return ParquetFile(shard)


def file_hash(path: Path) -> bytes:
    """SHA-256 of a file, read in pieces.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _unreadable(shard: Path, error: Exception, rows_read: int = 0) -> UserError:
    """For any exception: those of Arrow, its codecs and datasets share no base class."""
    reason = str(error).partition("\n")[0] or type(error).__name__
    after = f" after row {rows_read}" if rows_read else ""
    return UserError(f"{shard}: cannot be read as Parquet{after}: {reason}")
