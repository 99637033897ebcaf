from pathlib import Path

import pytest

from animelm.shipped import CONFIGS, find_shipped

BASE = Path("checkpoints/nano-gpt-oss-ja")


def test_the_shipped_configs_are_found() -> None:
    assert (CONFIGS / "cpt.yaml").is_file()


@pytest.mark.parametrize(
    ("name", "holds"),
    [(BASE, "config.json"), (Path("animelm/sample/generated/anime"), "qa.jsonl")],
)
def test_shipped_folders_are_found_from_any_working_directory(
    name: Path, holds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (find_shipped(name) / holds).is_file()


def test_a_folder_of_the_working_directory_comes_before_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / BASE).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_shipped(BASE) == BASE


@pytest.mark.parametrize("name", ["checkpoints/other", "nowhere", "checkpoints/nano-gpt-oss-ja/x"])
def test_a_path_that_is_not_shipped_stays_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_shipped(Path(name)) == Path(name)
