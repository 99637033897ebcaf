"""The command line as a user calls it, on a tiny base and a few works of the sample."""

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_base import write_tiny_base

from animelm.cli import main
from animelm.sample.writer import GENERATED

_WORKS = 4


@dataclass(frozen=True)
class Called:
    """What one call of the command line returned and printed."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Sample:
    """A few works of the sample, and as many subjects outside anime."""

    articles: Path
    records: Path
    general_articles: Path
    general_records: Path


Call = Callable[..., Called]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("sample")
    for domain in ("anime", "general"):
        articles = folder / domain / "articles"
        articles.mkdir(parents=True)
        for number in range(1, _WORKS + 1):
            for path in (GENERATED / domain / "articles").glob(f"{number:04}-0[1-4].md"):
                shutil.copy(path, articles)
        lines = (GENERATED / domain / "qa.jsonl").read_text(encoding="utf-8").splitlines()
        works = list(dict.fromkeys(json.loads(line)["work"] for line in lines))[:_WORKS]
        kept = [line for line in lines if json.loads(line)["work"] in works]
        (folder / domain / "qa.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return Sample(
        folder / "anime" / "articles",
        folder / "anime" / "qa.jsonl",
        folder / "general" / "articles",
        folder / "general" / "qa.jsonl",
    )


@pytest.fixture(scope="session")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """``call("fit", "--config=cpt.yaml", …)`` runs ``main`` in an empty folder with its own cache.

    What a command writes without being told where lands there, not in the clone.
    """
    elsewhere = tmp_path_factory.mktemp("working-directory")
    cache = tmp_path_factory.mktemp("cache")

    def run(*arguments: object) -> Called:
        out, err = io.StringIO(), io.StringIO()
        with (
            _environment("XDG_CACHE_HOME", str(cache)),
            contextlib.chdir(elsewhere),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = main([str(argument) for argument in arguments])
        return Called(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def small(tiny_base: Path) -> Callable[[Path, int], Sequence[str]]:
    """``small(folder, steps)``: options for a short run on the tiny base that writes to folder."""

    def options(folder: Path, steps: int = 1) -> list[str]:
        return [
            f"--model.base={tiny_base}",
            "--model.compute.dtype=float32",
            "--model.lora.rank=16",
            "--model.generation.max_new_tokens=6",
            "--data.block_size=128",
            "--data.blocks_per_batch=2",
            f"--trainer.limit_train_batches={steps}",
            "--trainer.max_epochs=1",
            "--trainer.num_sanity_val_steps=0",  # the base is asked where a test looks at it
            f"--output={folder}",
        ]

    return options


@pytest.fixture(scope="session")
def articles_of(sample: Sample) -> list[str]:
    """Options of a data module that trains on articles alone; some of each folder are held out."""
    return [
        f"--data.folder={sample.articles}",
        f"--data.general_folders=[{sample.general_articles}]",
        f"--data.general_records={sample.general_records}",
        "--data.questions_per_set=4",
        "--data.shares={questions: 0, general_articles: 0.2, general_questions: 0}",
        "--data.validation_share=0.25",
    ]


@pytest.fixture(scope="session")
def questions_of(sample: Sample) -> list[str]:
    """Options of a data module on questions alone; a few of each set are asked."""
    return [
        f"--data.records={sample.records}",
        "--data.general_folders=null",
        f"--data.general_records={sample.general_records}",
        "--data.shares={articles: 0, general_articles: 0, general_questions: 0.2}",
        "--data.questions_per_set=4",
    ]


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
