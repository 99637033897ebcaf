import os
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.files import make_folder, write_whole


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


def test_a_file_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "x"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch):
    path = tmp_path / "x"
    write_whole(path, b"old")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="x: cannot be written: No space left on device"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="No such file or directory"):
        write_whole(tmp_path / "nowhere" / "x", b"")
