from collections import Counter
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.sample import writer
from animelm.sample.facts import by_subject
from animelm.sample.writer import GENERATED, REVISIONS, WrittenSample, write_sample


@pytest.fixture(scope="module")
def few_general(general):
    """The facts of a few subjects outside anime, to write in no time."""
    return general[:20]


@pytest.fixture
def small(monkeypatch, anime, few_general):
    tables = {"anime": anime, "general": few_general}
    monkeypatch.setattr(writer, "load_facts", tables.__getitem__)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def subjects_of(folder: Path) -> int:
    """Subjects of a folder of articles that has a file for each of their revisions."""
    numbers = Counter(path.name.partition("-")[0] for path in (folder / "articles").glob("*.md"))
    assert set(numbers.values()) == {REVISIONS[folder.name]}
    return len(numbers)


def works_of(folder: Path) -> int:
    return subjects_of(folder / "anime")


def test_the_sample_in_the_repository_is_what_the_tables_give_now(tmp_path):
    works = works_of(GENERATED)
    assert works >= 24
    write_sample(tmp_path, works)
    written, shipped = files_of(tmp_path), files_of(GENERATED)
    assert written.keys() == shipped.keys()
    stale = [name for name in written if written[name] != shipped[name]]
    assert not stale, "run: make sample"


def test_two_runs_write_the_same_bytes(small, tmp_path):
    first = write_sample(tmp_path / "a", 12)
    assert write_sample(tmp_path / "b", 12) == first
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_it_counts_what_it_wrote(small, tmp_path, few_general):
    written = write_sample(tmp_path, 3)
    lines = {
        domain: len((tmp_path / domain / "qa.jsonl").read_text(encoding="utf-8").splitlines())
        for domain in ("anime", "general")
    }
    subjects = len(by_subject(few_general))
    assert written == WrittenSample(3, lines["anime"], subjects, lines["general"])
    assert works_of(tmp_path) == 3
    assert subjects_of(tmp_path / "general") == subjects


def test_all_works_are_written_without_a_number(small, tmp_path, anime):
    assert write_sample(tmp_path).works == works_of(tmp_path) == len(by_subject(anime))


def test_a_smaller_sample_is_part_of_a_larger_one(small, tmp_path):
    for works in (4, 9):
        write_sample(tmp_path / str(works), works)
    lines = [
        set((tmp_path / str(works) / "anime" / "qa.jsonl").read_text("utf-8").splitlines())
        for works in (4, 9)
    ]
    titles = [{line.partition('"work": ')[2].partition(",")[0] for line in part} for part in lines]
    assert titles[0] < titles[1]


@pytest.mark.parametrize("works", [0, -1, 100_000])
def test_a_number_of_works_that_the_table_has_not_is_told(small, tmp_path, works):
    with pytest.raises(UserError, match=f"from 1 to [0-9]+, the works of the table, not {works}"):
        write_sample(tmp_path, works)
    assert not files_of(tmp_path)


def test_a_second_run_leaves_nothing_of_the_first(small, tmp_path):
    write_sample(tmp_path, 9)
    write_sample(tmp_path, 4)
    write_sample(tmp_path / "fresh", 4)
    fresh = files_of(tmp_path / "fresh")
    assert {k: v for k, v in files_of(tmp_path).items() if not k.startswith("fresh/")} == fresh


def test_a_run_that_fails_leaves_what_was_there(small, tmp_path, monkeypatch):
    write_sample(tmp_path, 4)
    before = files_of(tmp_path)
    write_articles = writer.write_articles

    def fail_at_the_third(page_id, facts, revisions):
        if page_id == 3:
            raise OSError("the disk is full")
        return write_articles(page_id, facts, revisions)

    monkeypatch.setattr(writer, "write_articles", fail_at_the_third)
    with pytest.raises(OSError, match="disk is full"):
        write_sample(tmp_path, 9)
    assert files_of(tmp_path) == before
    with pytest.raises(OSError, match="disk is full"):
        write_sample(tmp_path / "empty", 9)
    assert not list((tmp_path / "empty").iterdir())


def test_what_a_killed_run_left_behind_does_not_get_in(small, tmp_path):
    left = tmp_path / ".anime.1.partial" / "articles"
    left.mkdir(parents=True)
    (left / "9999.md").write_text("half an article")
    write_sample(tmp_path, 2)
    assert works_of(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anime", "general"]
