import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from exports import Spec, article, page_xml

from animelm.corpus import render as render_module
from animelm.corpus.dump.random_access import SeekTable
from animelm.corpus.render import Batch, SelectedPage, read_rendered, render_batch
from animelm.errors import UserError


def batch(folder: Path, *specs: Spec, spans: list[bytes] | None = None) -> Batch:
    spans = spans or [page_xml(spec, n).strip().encode() for n, spec in enumerate(specs, start=1)]
    pages = tuple(
        SelectedPage(n, len(span), n, f"題{n}", ("類",), ("category 類",), f"byte {n}")
        for n, span in enumerate(spans)
    )
    table = SeekTable(folder / "dump.xml", "none", (0,), (0,))
    return Batch(table, pages, tuple(spans), folder / "out.jsonl")


def test_a_batch_is_written_with_its_reasons(tmp_path: Path):
    [first, second] = read_rendered(render_batch(batch(tmp_path, article("甲"), article("乙"))))
    assert first.markdown.startswith("# 甲\n") and second.markdown.startswith("# 乙\n")
    assert (first.revision, first.dump, first.failure) == (1001, "dump.xml", "")
    assert first.page.reasons == ("category 類",)


@pytest.mark.parametrize(
    ("dump", "year"),
    [
        ("jawiki-20240101-pages-articles.xml.bz2", "2024"),
        ("jawiki-20249901-pages.xml", "2019"),
        ("dump.xml", "2019"),
    ],
)
def test_the_day_of_a_page_is_that_of_the_dump_else_of_the_revision(
    tmp_path: Path, dump: str, year: str
):
    xml = page_xml(Spec("甲", "今年は{{CURRENTYEAR}}年。"), 1)
    xml = xml.replace("<comment>", "<timestamp>2019-05-06T07:08:09Z</timestamp><comment>")
    made = batch(tmp_path, spans=[xml.strip().encode()])
    table = SeekTable(tmp_path / dump, "none", (0,), (0,))
    [page] = read_rendered(render_batch(replace(made, table=table)))
    assert page.markdown == f"# 甲\n\n今年は{year}年。\n"


def test_a_page_that_fails_is_noted_and_the_others_go_on(tmp_path: Path, monkeypatch):
    original = render_module.render_page

    def failing(title: str, text: str, today: date | None):
        if title == "乙":
            raise IndexError("list index out of range")
        return original(title, text, today)

    monkeypatch.setattr(render_module, "render_page", failing)
    found = list(read_rendered(render_batch(batch(tmp_path, article("甲"), article("乙")))))
    assert [page.failure for page in found] == ["", "IndexError: list index out of range"]


def test_templates_nested_a_thousand_deep_end_the_page_and_nothing_else(tmp_path: Path):
    deep = Spec("深い", "{{lang|ja|" * 1000 + "底" + "}}" * 1000)
    deeper = Spec("もっと", "{{a|" * 1000 + "底")
    found = list(read_rendered(render_batch(batch(tmp_path, deep, deeper, article("次")))))
    assert "底" in found[0].markdown or found[0].failure
    assert "底" in found[1].markdown or found[1].failure
    assert found[2].markdown.startswith("# 次")


def test_a_malformed_page_is_noted_with_its_byte(tmp_path: Path):
    span = b"<page><title>x</title><ns>0</ns><id>1</id><revision></page>"
    [found] = read_rendered(render_batch(batch(tmp_path, spans=[span])))
    assert "not well-formed XML" in found.failure and "byte" in found.failure
    assert found.markdown == ""


def test_a_batch_that_is_there_is_not_rendered_again(tmp_path: Path):
    wanted = batch(tmp_path, article("甲"))
    render_batch(wanted)
    written = (tmp_path / "out.jsonl").stat()
    render_batch(wanted)
    assert (tmp_path / "out.jsonl").stat() == written


@pytest.mark.parametrize("damaged", [b"", b"as it was\n", None])
def test_a_batch_that_is_damaged_is_rendered_again(tmp_path: Path, damaged: bytes | None):
    wanted = batch(tmp_path, article("甲"))
    render_batch(wanted)
    whole = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").write_bytes(whole[:-9] if damaged is None else damaged)
    render_batch(wanted)
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_a_full_disk_leaves_no_batch(tmp_path: Path, monkeypatch):
    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"out\.jsonl: cannot be written: No space left on device"):
        render_batch(batch(tmp_path, article("甲")))
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_one_json_object_a_line(tmp_path: Path):
    render_batch(batch(tmp_path, Spec("行", "甲\u2028乙\n\n丙")))
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert len(lines) == 2 and json.loads(lines[1])["page"]["title"] == "題0"
