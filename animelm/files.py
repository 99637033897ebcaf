"""Files and folders that appear whole or not at all, and the user's cache folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError

from animelm.errors import UserError
from animelm.locks import hold


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/animelm``, by default ``~/.cache/animelm``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "animelm"


def make_folder(folder: Path, setting: str) -> None:
    """Makes a folder and its parents where they are missing, and checks that it can be written to.

    Args:
        folder: the folder.
        setting: the option that names it, for messages, such as ``--output``.

    Raises:
        UserError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{setting} {folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{setting} {folder}: cannot be written: no permission")


@contextmanager
def write_errors_as_user_errors(path: Path) -> Iterator[None]:
    """Turns an error of writing in the block into a ``UserError`` that names the file.

    Args:
        path: the file or folder that the block writes to.

    Raises:
        UserError: the disk is full, or the path cannot be written to.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        name = getattr(error, "filename", None) or path
        raise UserError(
            f"{name}: cannot be written: {reason}; correct this and run the same command again"
        ) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file; text as UTF-8.

    Raises:
        UserError: it cannot be written. An earlier file of that name is unchanged.
    """
    encoded = content.encode("utf-8") if isinstance(content, str) else content
    with write_errors_as_user_errors(path), whole_file(path) as partial:
        partial.write_bytes(encoded)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a path to write to; at the end of the block that file replaces ``path``.

    If the block raises, the file is removed and ``path`` is unchanged. The content is on the disk
    before it gets its name, so a power failure leaves no empty file, and the name is on the disk
    when the block has ended.

    Raises:
        UserError: ``path`` is a folder, pipe or device, which must not be replaced.
    """
    _require_replaceable(path)
    partial = _partial(path)
    try:
        with hold(partial):
            yield partial
        _write_to_disk(partial)
        os.replace(partial, path)
        _write_to_disk(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_folder(path: Path, keep_existing: bool = False) -> Iterator[Path]:
    """Gives an empty folder beside ``path``; at the end of the block it replaces ``path``.

    If the block raises, the folder is removed and ``path`` is unchanged. A folder that holds files
    cannot be replaced in one step, so the old one is first moved aside; ``recover_folder`` puts it
    back if the process is killed at that moment. All content is on the disk before it gets its
    name, and the name when the block has ended.

    Args:
        path: the folder.
        keep_existing: a folder that another process has made at ``path`` meanwhile is kept, and the
            one of this block is removed.
    """
    partial = _partial(path)
    try:
        with hold(partial, is_folder=True):
            yield partial
            for file in partial.rglob("*"):
                _write_to_disk(file)
        _write_to_disk(partial)
        if path.exists() and not keep_existing:
            previous = _previous(path)
            shutil.rmtree(previous, ignore_errors=True)
            os.replace(path, previous)
        try:
            os.replace(partial, path)
        except OSError:
            if not (keep_existing and path.is_dir()):
                raise
        _write_to_disk(path.parent)
        shutil.rmtree(_previous(path), ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require_replaceable(path: Path) -> None:
    """Refuses what is no file, and names such as /dev/stdout, in whose place one would be put."""
    folder = Path(os.path.realpath(path.parent))
    is_of_system = folder == Path("/dev") or folder.parts[:2] in (("/", "proc"), ("/", "sys"))
    if is_of_system or (path.exists() and not path.is_file()):
        kind = "is a folder" if path.is_dir() else "is a pipe or device"
        raise UserError(f"{path}: {kind}; expected the name of a file to write")


def give_usual_permissions(path: Path) -> None:
    """Gives a file the permissions of any new file in its folder.

    safetensors makes its files readable by their owner alone.
    """
    new = path.with_name(f"{path.name}.new")
    new.touch()
    shutil.copymode(new, path)
    new.unlink()


def link_whole(source: Path, path: Path) -> None:
    """Gives a file a second name, replacing what had that name in one step.

    Where the file system has no hard links, the file is copied.

    Raises:
        OSError: it cannot be written.
        UserError: as ``whole_file``.
    """
    _require_replaceable(path)
    partial = _partial(path)
    try:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
            _write_to_disk(partial)
        os.replace(partial, path)
        _write_to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _write_to_disk(path: Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recover_folder(path: Path) -> None:
    """Removes what a killed process left of ``whole_folder(path)``, and puts an old folder back.

    No other process may be writing ``path``.
    """
    previous = _previous(path)
    if previous.exists() and not path.exists():
        os.replace(previous, path)
    for folder in (previous, *path.parent.glob(f".{escape(path.name)}.*.partial")):
        shutil.rmtree(folder, ignore_errors=True)


def _partial(path: Path) -> Path:
    # Not the process's number: processes of several machines may write to one file system.
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}.partial")


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")
