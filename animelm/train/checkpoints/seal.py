"""The checksum of a checkpoint file, which tells a damaged file from a whole one.

A checkpoint is a zip archive. The checksum is the archive's comment, so that the file and its
checksum get their name in one step.
"""

import hashlib
import zipfile
from pathlib import Path
from typing import BinaryIO

from animelm.errors import UserError

_MARK = b"animelm sha256 "
_COMMENT_BYTES = len(_MARK) + 64
# The record that ends an archive without a comment (PKWARE's APPNOTE, 4.3.16).
_END, _END_BYTES = b"PK\x05\x06", 22
_DAMAGED = "is damaged, as its checksum shows; resume from another checkpoint"


def seal(path: Path) -> None:
    """Adds to an archive without a comment the SHA-256 of all its other bytes.

    Raises:
        ValueError: the file does not end as such an archive does.
    """
    with path.open("rb+") as file:
        if not _ends_without_comment(file):
            raise ValueError(f"{path}: not a zip archive without a comment")
        file.seek(-2, 2)
        file.write(_COMMENT_BYTES.to_bytes(2, "little"))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, 2)
        file.write(_MARK + digest.encode())


def require_intact(path: Path) -> None:
    """Checks that a file is as ``seal`` left it.

    Of a file without a checksum, as an earlier version wrote it, the archive's own CRCs are
    checked.

    Raises:
        UserError: it is damaged or incomplete, or no checkpoint at all.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _COMMENT_BYTES))
        comment = file.read()
        if comment.startswith(_MARK):
            if _digest(file, size - _COMMENT_BYTES).encode() != comment[len(_MARK) :]:
                raise UserError(f"{path}: {_DAMAGED}")
        elif not _ends_without_comment(file):
            raise UserError(
                f"{path}: cannot be read as a checkpoint; it may be truncated, or is none"
            )
        else:
            _require_crcs(path)


def _digest(file: BinaryIO, size: int) -> str:
    file.seek(0)
    digest, left = hashlib.sha256(), size
    while left > 0 and (part := file.read(min(left, 2**20))):
        digest.update(part)
        left -= len(part)
    return digest.hexdigest()


def _ends_without_comment(file: BinaryIO) -> bool:
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES))
    end = file.read()
    return len(end) == _END_BYTES and end.startswith(_END) and end.endswith(b"\0\0")


def _require_crcs(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: {_DAMAGED}") from error
    if damaged is not None:
        raise UserError(f"{path}: {_DAMAGED}")
