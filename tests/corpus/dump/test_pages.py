import bz2
import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from exports import HEAD, TAIL, Spec, article, export, page_xml
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.dump import pages
from animelm.corpus.dump.pages import PageStream, PageXMLError, parse_page, read_site
from animelm.corpus.dump.reader import Chunk, Segment, describe_dump, unpacked
from animelm.errors import UserError

PAGES = [article("銀魂"), article("A&B"), Spec("長い", "あ" * 2000), article("最後")]
XML = export(PAGES)


def stream(path: Path, segment: Segment | None = None) -> PageStream:
    segment = segment or describe_dump(path).segments[0]
    return PageStream(segment, unpacked(segment))


def read(content: bytes, path: Path) -> list[tuple[int, bytes]]:
    path.write_bytes(content)
    return list(stream(path))


def test_a_page_is_found_at_its_offset(tmp_path: Path):
    found = read(XML, tmp_path / "x")
    assert [parse_page(span).title for _, span in found] == ["銀魂", "A&B", "長い", "最後"]
    for offset, span in found:
        assert XML[offset : offset + len(span)] == span


@given(cuts=st.lists(st.integers(1, len(XML) - 1), unique=True, max_size=6).map(sorted))
def test_wherever_a_dump_is_cut_each_page_belongs_to_one_segment(cuts: list[int]):
    """Each segment reads on to the end of its last page, whatever bytes lie on its borders."""
    borders = [0, *cuts, len(XML)]
    found, length = [], 0
    for start, end in pairwise(borders):
        segment = Segment(Path("x"), "none", start, end)
        pieces = [*borders[borders.index(start) + 1 :]]
        begins = [start, *pieces[:-1]]
        chunks = (Chunk(XML[a:b], a, b) for a, b in zip(begins, pieces, strict=True))
        pages = PageStream(segment, chunks)
        if b"</mediawiki>" not in XML[start:] and b"<page>" not in XML[start:]:
            continue  # only a piece of the last tag
        found += [(start + offset, span) for offset, span in pages]
        length = start + pages.length
    whole = PageStream(Segment(Path("x"), "none", 0, len(XML)), iter([Chunk(XML, 0, len(XML))]))
    assert found == list(whole)
    assert length == len(XML) or b"</mediawiki>" not in XML[borders[-2] :]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "not a MediaWiki export"),
        (b"<html>" * 2000, "not a MediaWiki export"),
        (b"PK\x03\x04" + bytes(9000), "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(9000), "a 7z archive"),
        (XML.decode().encode("utf-16"), "UTF-16"),
        (XML.decode().encode("utf-16-le"), "UTF-16"),
        (
            bz2.compress("597:12:銀魂\n597:13:題\n".encode() * 999),
            "the index of a multistream dump",
        ),
        (b"-- MySQL dump\nCREATE TABLE `page` (", "a table in SQL"),
    ],
)
def test_another_kind_of_file_is_reported_with_the_forms_that_are_read(
    content: bytes, kind: str, tmp_path: Path
):
    with pytest.raises(UserError) as error:
        read(content, tmp_path / "x")
    assert str(error.value).startswith(f"{tmp_path / 'x'}: {kind}")
    assert ".xml, .xml.bz2, .xml.gz, .xml.xz or .xml.zst" in str(error.value)


def test_a_file_that_ends_within_a_page_names_it_and_the_byte(tmp_path: Path):
    cut = XML[: XML.index("最後".encode()) + 200]
    begin = cut.rindex(b"<page>")
    with pytest.raises(UserError, match=f"x: byte {begin}: page '最後' begins here and does not"):
        read(cut, tmp_path / "x")


def test_a_file_that_ends_between_pages_names_the_page_before(tmp_path: Path):
    cut = XML[: XML.index(b"</page>") + 7]
    with pytest.raises(UserError, match=f"byte {len(cut)}: expected <page>.*after the page '銀魂'"):
        read(cut, tmp_path / "x")


def test_a_page_that_is_not_closed_names_both_pages(tmp_path: Path):
    broken = XML.replace(b"</page>", b"", 1)
    expected = r"page '銀魂' begins here and does not end before byte \d+, where page 'A&B' begins"
    with pytest.raises(UserError, match=expected):
        read(broken, tmp_path / "x")


def test_bytes_between_pages_are_not_passed_over(tmp_path: Path):
    with pytest.raises(UserError, match=r"byte \d+: expected <page> or </mediawiki>"):
        read(XML.replace(b"</page>", b"</page>junk", 1), tmp_path / "x")


def test_two_exports_in_one_file_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="there is text after </mediawiki>; expected one export"):
        read(bz2.compress(XML) + bz2.compress(XML), tmp_path / "x")


def test_the_head_describes_the_wiki():
    site = read_site(HEAD.replace("Category", "Cat&amp;egory").encode())
    assert site.base.startswith("https://ja.wikipedia.org/wiki/")
    assert site.language == "ja"
    assert site.namespaces == {0: "", 14: "Cat&egory"}
    assert read_site(b"<mediawiki>").namespaces == {}


def test_the_newest_revision_is_read():
    first = page_xml(Spec("題", "旧"), 7)
    second = "<revision><id>9999</id><text>新</text></revision></page>"
    page = parse_page(first.replace("</page>", second).encode())
    assert (page.page_id, page.revision, page.text) == (7, 9999, "新")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<id>1007</id>", "<id>", "not well-formed XML: mismatched tag"),
        ("題", "題\0", "not well-formed XML"),
        ("題", "題&#0;", "not well-formed XML: reference to invalid character number"),
        ("題", "題&evil;", "not well-formed XML: undefined entity"),
        ("<id>7</id>", "<id>x</id>", "no number in <id>"),
        ("<text ", "<other ", "not well-formed XML"),
    ],
)
def test_a_malformed_page_is_an_error_with_its_byte(old: str, new: str, expected: str):
    xml = page_xml(Spec("題", "本文"), 7).strip().replace(old, new, 1)
    with pytest.raises(PageXMLError, match=expected) as caught:
        parse_page(xml.encode())
    assert 0 <= caught.value.offset < len(xml.encode())


def test_entities_of_a_document_type_do_not_reach_a_page(tmp_path: Path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n'
    page = page_xml(Spec("題", "本文"), 1).replace("本文", "&b;")
    [(_, span)] = read((bomb + HEAD + page + TAIL).encode(), tmp_path / "x")
    with pytest.raises(PageXMLError, match="undefined entity"):
        parse_page(span)


def test_invalid_utf_8_in_a_page_is_reported():
    xml = page_xml(Spec("題", "本文"), 7).strip().encode().replace("本文".encode(), b"\xff\xfe")
    with pytest.raises(PageXMLError, match="not well-formed"):
        parse_page(xml)


def test_a_page_of_twenty_megabytes_is_one_page(tmp_path: Path):
    pages = [article("前"), Spec("巨大", "長い文。" * (20_000_000 // 12)), article("後")]
    found = read(export(pages), tmp_path / "x")
    assert [parse_page(span).title for _, span in found] == ["前", "巨大", "後"]
    assert len(parse_page(found[1][1]).text) == 4 * (20_000_000 // 12)


def zipped(path: Path, *parts: bytes) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part in parts:
            file.write(part)
    return path


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (XML.index(b"<page>"), "byte 0 of the XML unpacked: no page begins within 16 MiB"),
        (XML.index(b"</page>") + 7, "more than 1 MiB of white space"),
        (len(XML), "more than 1 MiB of white space"),
        (
            XML.index(b"</text>"),
            "page '銀魂' begins here and does not end; expected </page>",
        ),
    ],
)
def test_a_file_that_unpacks_to_more_than_an_export_can_hold_is_refused(
    tmp_path: Path, place: int, told: str
):
    """Eighty million spaces pack to some hundred kilobytes."""
    space = b" " * (80 << 20)
    path = zipped(tmp_path / "bomb.xml.gz", XML[:place], space, XML[place:])
    with pytest.raises(UserError, match=rf"bomb\.xml\.gz: .*{told}"):
        list(stream(path))


def test_a_page_whose_text_is_longer_than_any_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "LONGEST_TEXT", 1 << 20)
    long = page_xml(Spec("題", "あ" * ((1 << 20) + 1)), 7)
    with pytest.raises(PageXMLError, match="its text is longer than 1 million characters"):
        parse_page(long.encode())


@pytest.mark.parametrize("old", ["<id>7</id>", "<id>1007</id>"])
def test_a_number_of_thousands_of_digits_is_no_number(old: str):
    long = page_xml(Spec("題"), 7).replace(old, f"<id>{'9' * 6000}</id>")
    with pytest.raises(PageXMLError, match="no number in <id>"):
        parse_page(long.encode())
