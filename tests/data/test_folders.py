import os
from pathlib import Path

import pytest

from animelm.data.folders import make_folder
from animelm.errors import UserError


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
