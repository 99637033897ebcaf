import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import frontmatter
import pytest
from exports import TAIL, Spec, article, category, export, files_of, multistream

from animelm.corpus import batches as batches_module
from animelm.corpus import build as build_module
from animelm.corpus import output as output_module
from animelm.corpus.build import BuildSettings, build_corpus, index_dumps
from animelm.corpus.cleaning.clean import CleaningSettings
from animelm.corpus.parallel import local_workers
from animelm.corpus.selection.select import Selection
from animelm.errors import UserError
from animelm.locks import folder_lock

PAGES = [
    category("アニメ"),
    *(article(f"作品{number}", "アニメ") for number in range(7)),
    article("島国", "国"),
]
ANIME = Selection(category="アニメ")
CLEANING = CleaningSettings(minimum_characters=1, near_duplicate_threshold=1)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_article_is_a_file_that_the_manifest_describes(build: Callable):
    corpus = build(export(PAGES), ANIME)
    manifest = lines_of(corpus.out / "manifest.jsonl")
    assert [entry["title"] for entry in manifest] == [f"作品{number}" for number in range(7)]
    for entry in manifest:
        content = (corpus.out / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        article_file = frontmatter.loads(content.decode())
        for key in ("title", "page_id", "revision", "categories", "source", "license"):
            assert article_file[key] == entry[key]
        assert entry["selected_because"] == ["category アニメ"]
        assert len(article_file.content) == entry["characters"] - 1
    written = {path.name for path in (corpus.out / "articles").iterdir()}
    assert written == {entry["file"].removeprefix("articles/") for entry in manifest}


def test_the_card_counts_and_names_whom_the_license_asks_to_name(build: Callable):
    corpus = build(export(PAGES), ANIME)
    card = frontmatter.loads((corpus.out / "README.md").read_text(encoding="utf-8"))
    assert card["license"] == "cc-by-sa-4.0" and card["language"] == ["ja"]
    assert "| **kept** | 7 |" in card.content and "| articles in the dumps | 8 |" in card.content
    assert "https://ja.wikipedia.org/wiki" in card.content
    assert "https://creativecommons.org/licenses/by-sa/4.0/" in card.content
    assert corpus.indexes[0].dump.sha256 in card.content
    assert "- category: `アニメ`" in card.content


def test_building_again_changes_no_byte_and_writes_nothing(build: Callable, monkeypatch):
    corpus = build(export(PAGES), ANIME)
    before = files_of(corpus.out)
    times = {path: path.stat().st_mtime_ns for path in corpus.out.rglob("*")}
    monkeypatch.setattr(build_module, "WorkFolder", None)
    again = build(export(PAGES), ANIME)
    assert again.built == corpus.built
    assert files_of(corpus.out) == before
    assert {path: path.stat().st_mtime_ns for path in corpus.out.rglob("*")} == times


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "record"])
def test_a_corpus_that_was_damaged_is_built_again(build: Callable, damage: str):
    corpus = build(export(PAGES), ANIME)
    before = files_of(corpus.out)
    an_article = next((corpus.out / "articles").iterdir())
    if damage == "change":
        an_article.write_text("changed")
    elif damage == "remove":
        an_article.unlink()
    else:
        name = {"manifest": "manifest.jsonl", "record": "README.md"}[damage]
        (corpus.out / name).write_text("{}")
    build(export(PAGES), ANIME)
    assert files_of(corpus.out) == before


def test_another_choice_replaces_the_corpus_and_spares_other_files(build: Callable):
    corpus = build(export(PAGES), ANIME)
    (corpus.out / "stats.html").write_text("mine")
    build(export(PAGES), Selection(category="国"))
    assert [path.name for path in (corpus.out / "articles").iterdir()] == ["9-島国.md"]
    assert (corpus.out / "stats.html").read_text() == "mine"
    assert not (corpus.out / ".partial").exists()


@pytest.mark.parametrize("pack", [export, lambda pages: multistream(pages, 3)])
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_whatever_does_the_work_the_corpus_is_the_same(
    build: Callable, pack, kind: str, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(batches_module, "_BATCH_BYTES", 1)
    alone = files_of(build(pack(PAGES), ANIME).out)
    settings = BuildSettings(
        str(tmp_path / "dump.xml"), tmp_path / "again", cache=tmp_path / "cache2"
    )
    workers = ThreadPoolExecutor(3) if kind == "threads" else local_workers(2)
    with workers as executor:
        indexes = index_dumps(settings, executor)
        build_corpus(indexes, settings, ANIME, CLEANING, (), executor)
    assert files_of(tmp_path / "again") == alone


@pytest.mark.parametrize("workers", [1, 2])
def test_parts_of_a_dump_give_one_corpus(workers: int, tmp_path: Path):
    for number, pages in enumerate((PAGES[:4], PAGES[4:])):
        spaced = [replace(spec, page_id=10 * number + n) for n, spec in enumerate(pages, start=1)]
        (tmp_path / f"part{number}.xml").write_bytes(export(spaced))
    settings = BuildSettings(
        str(tmp_path / "part*.xml"), tmp_path / "out", workers=workers, cache=tmp_path / "cache"
    )
    with local_workers(workers) as executor:
        indexes = index_dumps(settings, executor)
        built = build_corpus(indexes, settings, ANIME, CLEANING, (), executor)
    assert built.counts.kept == 7 and built.counts.articles == 8


@pytest.mark.parametrize("pack", [export, lambda pages: multistream(pages, 1)])
def test_an_interrupted_build_continues(build: Callable, pack, monkeypatch):
    monkeypatch.setattr(batches_module, "_BATCH_BYTES", 1)
    rendered = []
    original = build_module.render_batch

    def interrupted(batch):
        if len(rendered) == 4:
            rendered.append("stop")
            raise KeyboardInterrupt
        fresh = not batch.target.is_file()
        path = original(batch)
        if fresh:
            rendered.append(path.name)
        return path

    monkeypatch.setattr(build_module, "render_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(pack(PAGES), ANIME)
    out = build(pack(PAGES), ANIME).out
    assert [name for name in rendered if name != "stop"] == [f"{n:06d}.jsonl" for n in range(7)]
    went_on = files_of(out)
    for name in went_on:
        (out / name).unlink()
    (out / "articles").rmdir()
    assert files_of(build(pack(PAGES), ANIME).out) == went_on


@pytest.mark.parametrize("failing", range(6))
def test_interrupted_while_all_is_moved_to_its_place_it_goes_on(
    build: Callable, failing: int, monkeypatch
):
    """At no point is there a ``build.json`` beside files of two builds."""
    corpus = build(export(PAGES), Selection(category="国"))
    wanted = None
    moves = []
    original = output_module.os.replace

    def replace_some(source, target):
        if ".partial" in str(source) and target.parent == corpus.out:
            if len(moves) == failing:
                moves.append(target)
                raise KeyboardInterrupt
            moves.append(target)
        original(source, target)

    monkeypatch.setattr(output_module.os, "replace", replace_some)
    with pytest.raises(KeyboardInterrupt):
        build(export(PAGES), ANIME)
    assert not (corpus.out / "build.json").exists()
    monkeypatch.setattr(output_module.os, "replace", original)
    wanted = files_of(build(export(PAGES), ANIME).out)
    assert sum(name.startswith("articles/") for name in wanted) == 7
    assert not [name for name in wanted if ".partial" in name]


def test_pages_left_out_are_listed_with_their_reasons(build: Callable):
    same = Spec("同じ", "同じ本文である。" * 30)
    content = export([same, same, Spec("壊れた", "誤り"), article("別")])
    content = content.replace("誤り".encode(), b"&nope;")
    corpus = build(content)
    left_out = {entry["title"]: entry for entry in lines_of(corpus.out / "left_out.jsonl")}
    broken = left_out["壊れた"]
    assert broken["step"] == "parsing" and "undefined entity" in broken["reason"]
    begin = int(broken["place"].removeprefix("byte "))
    assert content[begin:].startswith("<page>\n    <title>壊れた".encode())
    assert left_out["同じ"]["step"] == "cleaning"
    assert [failure.title for failure in corpus.built.failures] == ["壊れた"]
    assert corpus.built.counts.not_parsed == 1
    assert corpus.built.counts.refused == 1
    assert corpus.built.counts.kept + len(left_out) == corpus.built.counts.selected == 4


def test_a_page_that_stands_in_the_dump_twice_is_kept_once_and_told(build: Callable):
    first = replace(article("甲"), page_id=5)
    second = replace(article("甲", text="前とは違う本文が続く。" * 30), page_id=5)
    corpus = build(export([first, second]))
    [left_out] = lines_of(corpus.out / "left_out.jsonl")
    assert left_out["step"] == "naming" and corpus.built.counts.kept == 1


def test_hard_titles_stay_inside_the_folder(build: Callable, tmp_path: Path):
    titles = [
        "../../外",
        "a/b/c",
        "..",
        ".",
        "🎌🎎",
        "長" * 300,
        "CON",
        "A",
        "a",
        "con.txt",
        "x\ty",
    ]
    pages = [article(title, text=f"{number}番の本文。" * 50) for number, title in enumerate(titles)]
    before = {path for path in tmp_path.parent.rglob("*") if tmp_path not in path.parents}
    corpus = build(export(pages))
    assert corpus.built.counts.kept == len(titles)
    assert len(list((corpus.out / "articles").iterdir())) == len(titles)
    after = {path for path in tmp_path.parent.rglob("*") if tmp_path not in path.parents}
    assert after == before
    top = {path.name for path in tmp_path.iterdir()}
    assert top == {"dump.xml", "corpus", "cache"}


def test_a_title_with_a_nul_byte_is_left_out_with_its_reason(build: Callable):
    content = export([article("甲"), article("乙")]).replace("<title>乙".encode(), b"<title>a\0b")
    corpus = build(content)
    [left_out] = lines_of(corpus.out / "left_out.jsonl")
    assert "not well-formed" in left_out["reason"] and corpus.built.counts.kept == 1


def test_a_page_of_twenty_megabytes_is_an_article(build: Callable):
    pages = [article("甲"), article("巨大", text="長い文が続く。\n\n" * 900_000)]
    assert build(export(pages)).built.counts.kept == 2


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_dump_cut_short_leaves_nothing(build: Callable, cut: float, tmp_path: Path):
    content = export(PAGES)
    with pytest.raises(UserError, match=r"dump\.xml: byte \d+: "):
        build(content[: int(len(content) * cut)])
    assert not (tmp_path / "corpus").exists()


def test_broken_xml_leaves_the_earlier_corpus_as_it_was(build: Callable):
    before = files_of(build(export(PAGES), ANIME).out)
    with pytest.raises(UserError, match="does not end before byte"):
        build(export(PAGES).replace(b"</page>", b"", 3), ANIME)
    assert files_of(build(export(PAGES), ANIME).out) == before


def test_a_full_disk_keeps_the_earlier_corpus_and_the_work_done(build: Callable, monkeypatch):
    corpus = build(export(PAGES), Selection(category="国"))
    before = files_of(corpus.out)
    original = Path.open
    opened = []

    def full(path: Path, mode: str = "r", *arguments, **options):
        if mode == "xb":
            opened.append(path)
            if len(opened) == 4:
                raise OSError(28, "No space left on device", str(path))
        return original(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match=r"cannot be written: No space left on device"):
        build(export(PAGES), ANIME)
    visible = {n: c for n, c in files_of(corpus.out).items() if not n.startswith(".partial/")}
    assert visible == before
    assert build(export(PAGES), ANIME).built.counts.kept == 7
    assert not (corpus.out / ".partial").exists()


@pytest.mark.parametrize("name", ["README.md", "articles", "build.txt"])
def test_a_folder_with_files_of_another_kind_is_not_written_over(
    build: Callable, name: str, tmp_path: Path
):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / name).write_text("mine")
    if name == "build.txt":
        build(export(PAGES))
    else:
        with pytest.raises(UserError, match=f"holds {name}, which does not belong to a corpus"):
            build(export(PAGES))
    assert (tmp_path / "corpus" / name).read_text() == "mine"


def test_a_selection_of_nothing_is_an_error(build: Callable):
    with pytest.raises(UserError, match=r"no article matches the selection \(8 scanned"):
        build(export(PAGES), Selection(category="無い"))


def test_an_export_without_pages_is_an_error(build: Callable):
    with pytest.raises(UserError, match=r"no article matches the selection \(0 scanned"):
        build(export([]))


def test_the_tail_alone_is_no_export(build: Callable):
    with pytest.raises(UserError, match="not a MediaWiki export"):
        build(TAIL.encode())


def test_bars_end_where_they_say(build: Callable, tmp_path: Path):
    build(multistream(PAGES))
    totals: dict[str, int] = {}
    done: dict[str, int] = {}

    @contextmanager
    def progress(description: str, total: int):
        totals[description], done[description] = total, 0

        def advance(amount: int) -> None:
            done[description] += amount

        yield advance

    settings = BuildSettings(
        str(tmp_path / "dump.xml"), tmp_path / "out", workers=1, cache=tmp_path / "cache2"
    )
    indexes = index_dumps(settings, None, progress)
    build_corpus(indexes, settings, Selection(), CLEANING, (), None, progress)
    assert done == totals and set(done) == {"Scanning", "Rendering"}
    assert totals["Scanning"] == (tmp_path / "dump.xml").stat().st_size


def test_a_folder_in_which_another_command_builds_is_refused_and_left_alone(
    build: Callable, tmp_path: Path
):
    whole = files_of(build(export(PAGES), ANIME).out)
    with (
        folder_lock(tmp_path / "corpus", "--out"),
        pytest.raises(UserError, match=r"--out .*corpus: another command writes there: process"),
    ):
        build(export(PAGES[:3]), ANIME)
    assert files_of(tmp_path / "corpus") == whole


def test_what_a_killed_build_left_is_cleared_away(build: Callable, tmp_path: Path):
    rendered = tmp_path / "corpus" / ".partial" / "rendered"
    rendered.mkdir(parents=True)
    (rendered / ".000000.jsonl.0123456789ab.partial").write_text("half")
    corpus = build(export(PAGES), ANIME)
    assert not [path for path in corpus.out.rglob("*") if "partial" in path.name]
    assert not (corpus.out / ".animelm.lock").exists()
