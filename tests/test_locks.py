import os
import subprocess
import sys

import pytest

from animelm.errors import UserError
from animelm.locks import LOCK, clear_leftovers, folder_lock, hold

HOLDER = """
import sys, time
from pathlib import Path
from animelm.locks import folder_lock, hold
path = Path(sys.argv[1])
with folder_lock(path, "--out") if path.is_dir() else hold(path):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(project_root):
    """``holder(path)``: another process that holds the lock of a folder or partial file."""
    started = []

    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            cwd=project_root,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_process_is_refused_and_told_who_the_first_is(tmp_path, holder):
    process = holder(tmp_path)
    told = rf"--out {tmp_path}: another command writes there: process {process.pid} on .*since"
    with pytest.raises(UserError, match=told), folder_lock(tmp_path, "--out"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    process = holder(tmp_path)
    process.kill()
    process.wait()
    assert (tmp_path / LOCK).exists()
    with folder_lock(tmp_path, "--out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made_and_the_lock_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "a" / "b"
    with folder_lock(folder, "--out"):
        assert (folder / LOCK).is_file()
        with pytest.raises(UserError, match="another command"), folder_lock(folder, "--out"):
            pass
    assert not folder.exists() and folder.parent.is_dir()
    with folder_lock(folder, "--out"):
        (folder / "written").touch()
    assert [path.name for path in folder.iterdir()] == ["written"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"--out .*file/x: cannot be made: Not a directory"),
        folder_lock(tmp_path / "file" / "x", "--out"),
    ):
        pass


def test_only_what_a_dead_process_left_is_cleared_away(tmp_path, holder):
    living, dead, folder = (tmp_path / f".{name}.partial" for name in ("living", "dead", "folder"))
    holder(living)
    dead.write_text("half")
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "whole").write_text("whole")
    clear_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".living.partial", "whole"}


def test_a_partial_folder_is_protected_while_it_is_held(tmp_path):
    partial = tmp_path / ".x.partial"
    with hold(partial, is_folder=True):
        clear_leftovers(tmp_path)
        assert partial.is_dir()
    clear_leftovers(tmp_path)
    assert not partial.exists()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_lock_that_is_no_file_is_named(tmp_path, make):
    make(tmp_path / LOCK)
    with (
        pytest.raises(UserError, match=rf"--out .*: {LOCK} in it is no file; remove it"),
        folder_lock(tmp_path, "--out"),
    ):
        pass
