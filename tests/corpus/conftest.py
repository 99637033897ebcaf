"""A corpus built from an export that a test makes up."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from animelm.corpus.build import BuildSettings, build_corpus, index_dumps
from animelm.corpus.cleaning.clean import CleaningSettings
from animelm.corpus.dump.index import DumpIndex
from animelm.corpus.output import BuildResult
from animelm.corpus.selection.select import Selection


@dataclass(frozen=True)
class Corpus:
    """A corpus that a test has built."""

    out: Path
    built: BuildResult
    indexes: list[DumpIndex]


@pytest.fixture
def index(tmp_path: Path) -> Callable[..., DumpIndex]:
    """``index(content, name)``: the index of a dump with this content."""

    def make(content: bytes, name: str = "dump.xml") -> DumpIndex:
        path = tmp_path / name
        path.write_bytes(content)
        settings = BuildSettings(str(path), workers=1, cache=tmp_path / "cache")
        [made] = index_dumps(settings)
        return made

    return make


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Corpus]:
    """``build(content, selection)``: the corpus from a dump with this content."""

    def make(content: bytes, selection: Selection | None = None, name: str = "dump.xml") -> Corpus:
        path = tmp_path / name
        path.write_bytes(content)
        out = tmp_path / "corpus"
        settings = BuildSettings(str(path), out, workers=1, cache=tmp_path / "cache")
        indexes = index_dumps(settings)
        cleaning = CleaningSettings(minimum_characters=1, near_duplicate_threshold=1)
        built = build_corpus(indexes, settings, selection or Selection(), cleaning)
        return Corpus(out, built, indexes)

    return make
