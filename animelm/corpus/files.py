"""Writing files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from animelm.errors import UserError


@contextmanager
def told_if_unwritable(path: Path) -> Iterator[None]:
    """Turns an error of the disk into a ``UserError`` that names the file.

    Raises:
        UserError: the disk is full, or the place cannot be written to.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise UserError(
            f"{place}: cannot be written: {error.strerror}; "
            "once that is mended, the same command goes on where it stopped"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under another name beside it, then gives it its own.

    Raises:
        UserError: it cannot be written; no part of it is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with told_if_unwritable(path):
        try:
            partial.write_bytes(content)
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
