"""One process writes to a folder at a time, and what a killed one has left is cleared away."""

import fcntl
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from animelm.errors import UserError

LOCK = ".animelm.lock"
_PARTIAL = ".*.partial"


@contextmanager
def folder_lock(folder: Path, setting: str) -> Iterator[None]:
    """Keeps other processes from writing to a folder, until the block or this process ends.

    The system releases the lock of a process that is killed. The file ``.animelm.lock`` in the
    folder names its owner, and is deleted at the end; so is the folder if nothing is written.

    Args:
        folder: the folder, which is made if it is missing.
        setting: the option that names it, for messages, such as ``--out``.

    Raises:
        UserError: another process has the lock, or the folder cannot be made.
    """
    path = folder / LOCK
    is_new = not folder.exists()
    if not is_new and not folder.is_dir():
        raise UserError(f"{setting} {folder}: is a file; expected a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{setting} {folder}: cannot be made: {error.strerror}") from error
    if path.exists() and not path.is_file():
        raise UserError(f"{setting} {folder}: {LOCK} in it is no file; remove it")
    try:
        descriptor = _locked(path)
    except OSError as error:
        raise UserError(f"{setting} {folder}: cannot be written: {error.strerror}") from error
    if descriptor is None:
        raise UserError(
            f"{setting} {folder}: another command writes there: {_owner(path)}; wait until it has "
            "ended, or choose another folder"
        )
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:300]
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        owner = f"process {os.getpid()} on {socket.gethostname()}, since {since}: {command}"
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # a full disk; the lock holds without a name
            os.write(descriptor, owner.encode("utf-8", "replace"))
        yield
    finally:
        with suppress(OSError):
            path.unlink()
            if is_new:
                folder.rmdir()  # unless something has been written
        os.close(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Deletes the partial files and folders that killed processes have left directly in a folder.

    Args:
        folder: a folder in which ``hold`` protects what is being written.
    """
    for path in folder.glob(_PARTIAL):
        with suppress(OSError):
            descriptor = _open(path, 0)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def hold(partial: Path, is_folder: bool = False) -> Iterator[None]:
    """Makes an empty partial file or folder, which ``clear_leftovers`` spares within the block.

    On a file system without locks nothing is protected, and nothing is cleared.

    Args:
        partial: a path whose name is unique.
        is_folder: whether a folder is made.

    Raises:
        OSError: it cannot be made.
    """
    if is_folder:
        partial.mkdir(parents=True, exist_ok=True)
    descriptor = _open(partial, os.O_CREAT)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for a process that is just deleting it
    if not _is_there(descriptor, partial):
        os.close(descriptor)
        with hold(partial, is_folder):
            yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """A descriptor that has the lock of a file, which is made; None if another process has it."""
    while True:
        descriptor = _open(path, os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        # Its owner may have deleted it between opening and locking.
        if _is_there(descriptor, path):
            return descriptor
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    if path.is_dir():
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666)


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:500] or "a process without name"
    except OSError:
        return "a process that has just ended"
