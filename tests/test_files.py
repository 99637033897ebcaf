import os
import stat
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.files import (
    default_cache,
    give_usual_permissions,
    link_whole,
    make_folder,
    recover_folder,
    whole_folder,
    write_whole,
)


def test_a_folder_and_its_parents_are_made_and_found_again(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b", "--output")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--output .*file/a: cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "a", "--output")
    with pytest.raises(UserError, match=r"--output .*file: cannot be made: File exists"):
        make_folder(tmp_path / "file", "--output")


def test_a_folder_that_may_only_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(UserError, match=r"--output .*: cannot be written: no permission"):
        make_folder(tmp_path, "--output")


def test_the_cache_can_be_moved_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "animelm"


def test_a_file_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "x"
    write_whole(path, b"old")
    write_whole(path, "新\n")
    assert path.read_bytes() == "新\n".encode() and list(tmp_path.iterdir()) == [path]


def test_a_private_file_gets_the_permissions_of_a_new_one(tmp_path: Path):
    path, new = tmp_path / "private", tmp_path / "new"
    path.write_text("x", encoding="utf-8")
    path.chmod(0o600)
    new.touch()
    give_usual_permissions(path)
    assert path.stat().st_mode == new.stat().st_mode
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new", "private"]


def full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    path = tmp_path / "x"
    write_whole(path, b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(UserError, match="x: cannot be written: No space left on device"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_file_in_a_missing_folder_cannot_be_written(tmp_path: Path):
    with pytest.raises(UserError, match="No such file or directory"):
        write_whole(tmp_path / "nowhere" / "x", b"")


def write_folder(path: Path, content: str, **settings: bool) -> None:
    with whole_folder(path, **settings) as partial:
        (partial / "file").write_text(content)


def test_a_folder_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "below" / "x"
    write_folder(path, "old")
    write_folder(path, "new")
    assert (path / "file").read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_an_error_while_a_folder_is_written_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "x"
    write_folder(path, "old")
    with pytest.raises(ValueError), whole_folder(path) as partial:
        (partial / "file").write_text("half")
        raise ValueError
    assert (path / "file").read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_another_process_made_meanwhile_is_kept(tmp_path: Path):
    path = tmp_path / "x"
    with whole_folder(path, keep_existing=True) as partial:
        (partial / "file").write_text("second")
        write_folder(path, "first")
    assert (path / "file").read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_recovered_from_a_process_killed_between_its_two_moves(tmp_path: Path):
    path = tmp_path / "x[1]"
    for name in (".x[1].previous", ".x[1].0.partial", ".y.0.partial"):
        write_folder(tmp_path / name, name)
    recover_folder(path)
    assert (path / "file").read_text() == ".x[1].previous"
    assert sorted(tmp_path.iterdir()) == [tmp_path / ".y.0.partial", path]


def test_content_and_name_are_on_the_disk_before_anything_counts_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may fail at any moment: the file first, then its name, then the folder."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        mode = os.fstat(descriptor).st_mode
        events.append("folder" if stat.S_ISDIR(mode) else "file")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_whole(tmp_path / "file", b"x")
    assert events == ["file", "rename", "folder"]
    events.clear()
    with whole_folder(tmp_path / "a") as folder:
        (folder / "x").write_bytes(b"x")
        (folder / "below").mkdir()
        (folder / "below" / "y").write_bytes(b"y")
    # Both files, the folder below, and the folder itself; then the name.
    assert sorted(events[:4]) == ["file", "file", "folder", "folder"]
    assert events[4:] == ["rename", "folder"]
    events.clear()
    link_whole(tmp_path / "file", tmp_path / "second")
    assert events == ["rename", "folder"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/null", "/dev/stdout", "/proc/self/fd/1"])
def test_only_a_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path(kind)
    before = path.lstat()
    with pytest.raises(UserError, match=f"{path}: is a .*; expected the name of a file to write"):
        write_whole(path, b"x")
    assert os.path.samestat(path.lstat(), before)


def test_a_link_is_replaced_and_what_it_names_is_left_alone(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "x"
    other.write_bytes(b"other")
    path.symlink_to(other)
    write_whole(path, b"x")
    assert other.read_bytes() == b"other" and path.read_bytes() == b"x" and not path.is_symlink()
