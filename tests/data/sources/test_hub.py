from pathlib import Path

import pytest

from animelm.data.sources import hub as hub_datasets
from animelm.data.sources.hub import local_copy
from animelm.errors import UserError


@pytest.fixture
def asked(tmp_path, monkeypatch, write_parquet):
    """What was asked of a hub whose every dataset is one file, ``data/a.parquet``."""
    calls = []
    write_parquet(tmp_path / "data" / "a.parquet", [{"text": "本文"}])

    def download(repository, patterns, kind, revision):
        assert kind == "dataset"
        calls.append((repository, revision, patterns))
        return tmp_path

    monkeypatch.setattr(hub_datasets, "download", download)
    return calls


@pytest.mark.parametrize("path", ["articles", "a/b.parquet", "/hf/datasets/a/b", "hf:/models/a/b"])
def test_any_other_path_is_left_as_it_is(asked, path):
    assert local_copy(Path(path)) == Path(path) and not asked


@pytest.mark.parametrize(
    ("address", "revision", "inside", "patterns"),
    [
        ("llm-jp/corpus_1.0", None, "", ["*.parquet"]),
        ("llm-jp/corpus_1.0@v2", "v2", "", ["*.parquet"]),
        ("llm-jp/corpus_1.0/data", None, "data", ["data", "data/*.parquet"]),
        (
            "llm-jp/corpus_1.0@v2/data/a.parquet",
            "v2",
            "data/a.parquet",
            ["data/a.parquet", "data/a.parquet/*.parquet"],
        ),
    ],
)
def test_only_the_parquet_that_is_named_is_fetched(
    asked, tmp_path, address, revision, inside, patterns
):
    assert local_copy(Path(f"hf://datasets/{address}")) == tmp_path / inside
    assert asked == [("llm-jp/corpus_1.0", revision, patterns)]


def test_a_dataset_without_parquet_there_is_reported(asked):
    with pytest.raises(UserError, match=r"^hf://datasets/a/b/images: holds no \.parquet file"):
        local_copy(Path("hf://datasets/a/b/images"))
