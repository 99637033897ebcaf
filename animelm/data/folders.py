"""Folders that are written to, made before the work whose results they are for."""

import os
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
