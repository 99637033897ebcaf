"""Files and folders that are written whole or not at all, and checked before work begins."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from animelm.errors import UserError


def make_folder(folder: Path, setting: str) -> None:
    """Makes a folder, or finds that it is there and can be written to.

    Args:
        folder: the folder; its parents are made as well.
        setting: what the user gave it as, such as ``--output``.

    Raises:
        UserError: it cannot be made, or nothing can be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{setting} {folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{setting} {folder}: cannot be written: no permission")


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
