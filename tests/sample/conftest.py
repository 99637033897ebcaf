"""The tables, and what the base is trained on: made once, as ``make base`` makes it."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from animelm.sample import invented
from animelm.sample.base_corpus import BaseCorpus, write_base_corpus
from animelm.sample.facts import Fact, load_facts


@dataclass(frozen=True)
class Exercises:
    """Exercises in reading, and all facts that were invented for them."""

    records: list[dict[str, Any]]
    facts: list[Fact]


@pytest.fixture(scope="session")
def anime() -> list[Fact]:
    return load_facts("anime")


@pytest.fixture(scope="session")
def general() -> list[Fact]:
    return load_facts("general")


@pytest.fixture(scope="session")
def anime_names(anime: list[Fact]) -> set[str]:
    """Every title and every protagonist of the anime table."""
    names = {fact.subject for fact in anime}
    return names | {v for fact in anime if fact.relation == "protagonist" for v in fact.values}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[BaseCorpus, list[Fact]]:
    """The base's corpus without plain Japanese, and all facts that were invented for it."""
    facts: list[Fact] = []
    with pytest.MonkeyPatch.context() as patch:
        invent = invented.invented_subject

        def invent_and_note(inventor: invented.Inventor, kind: str) -> list[Fact]:
            drawn = invent(inventor, kind)
            facts.extend(drawn)
            return drawn

        patch.setattr(invented, "invented_subject", invent_and_note)
        corpus = write_base_corpus(tmp_path_factory.mktemp("base") / "corpus", plain_text=None)
    return corpus, facts


@pytest.fixture(scope="session")
def corpus(written: tuple[BaseCorpus, list[Fact]]) -> BaseCorpus:
    """The base's corpus without plain Japanese, of the size and seed that the base is made with."""
    return written[0]


@pytest.fixture(scope="session")
def exercises(written: tuple[BaseCorpus, list[Fact]]) -> Exercises:
    """The corpus's exercises in reading."""
    corpus, facts = written
    lines = corpus.reading.read_text(encoding="utf-8").splitlines()
    return Exercises([json.loads(line) for line in lines], facts)


@pytest.fixture(scope="session")
def drills(corpus: BaseCorpus) -> list[str]:
    """The corpus's drills: every text in a folder that is neither articles nor plain Japanese."""
    told = (None, corpus.articles, corpus.plain)
    folders = [path for path in vars(corpus).values() if path not in told and path.is_dir()]
    return [path.read_text("utf-8") for folder in folders for path in sorted(folder.iterdir())]
