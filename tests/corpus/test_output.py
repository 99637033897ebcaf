from pathlib import Path

import pytest

from animelm.corpus.output import WorkFolder, is_built
from animelm.errors import UserError


def test_work_that_was_begun_is_kept_though_nothing_can_be_written(tmp_path: Path, monkeypatch):
    (WorkFolder(tmp_path, "same").rendered / "000000.jsonl").write_text("done")

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    for method in ("write_bytes", "write_text"):
        monkeypatch.setattr(Path, method, full)
    assert (WorkFolder(tmp_path, "same").rendered / "000000.jsonl").read_text() == "done"


def test_work_of_another_build_is_thrown_away(tmp_path: Path):
    (WorkFolder(tmp_path, "one").rendered / "000000.jsonl").write_text("done")
    assert not list(WorkFolder(tmp_path, "other").rendered.iterdir())


def test_a_file_in_the_folders_place_is_reported(tmp_path: Path):
    (tmp_path / "corpus").touch()
    with pytest.raises(UserError, match="corpus: is a file; expected a folder"):
        WorkFolder(tmp_path / "corpus", "x")


def test_an_empty_folder_is_no_corpus(tmp_path: Path):
    assert not is_built(tmp_path, "x")
