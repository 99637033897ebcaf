import bz2
import gzip
import lzma
from pathlib import Path

import pytest
from exports import article, export, multistream

from animelm.corpus.dump import reader as dump_module
from animelm.corpus.dump.reader import CHUNK, Segment, describe_dump, find_dumps, unpacked, zstd
from animelm.errors import UserError

PAGES = [article(f"題{number}") for number in range(9)]
XML = export(PAGES)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "dump"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("pack", "compression"),
    [
        (bytes, "none"),
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (zstd.compress, "zstd"),
        (lambda xml: zstd.compress(xml[:99]) + zstd.compress(xml[99:]), "zstd"),
    ],
)
def test_a_format_is_known_by_its_bytes_and_unpacked(pack, compression: str, tmp_path: Path):
    dump = describe_dump(write(tmp_path, pack(XML)))
    assert dump.compression == compression
    assert len(dump.segments) == 1
    assert b"".join(chunk.text for chunk in unpacked(dump.segments[0])) == XML


def test_a_multistream_file_is_cut_between_its_streams(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(dump_module._SEGMENT, "bzip2", 1)
    content = multistream(PAGES)
    dump = describe_dump(write(tmp_path, content))
    assert len(dump.segments) == 1 + 5 + 1
    for segment in dump.segments:
        assert content[segment.start : segment.start + 3] == b"BZh"
    assert dump.segments[-1].end == len(content)
    assert b"".join(chunk.text for chunk in unpacked(dump.segments[0])) == export(PAGES)


def test_the_mark_of_a_stream_is_found_across_two_reads(tmp_path: Path, monkeypatch):

    monkeypatch.setitem(dump_module._SEGMENT, "bzip2", 1)
    content = multistream(PAGES)
    monkeypatch.setattr(dump_module, "CHUNK", 7)
    dump = describe_dump(write(tmp_path, content))
    assert len(dump.segments) == 7


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_a_file_cut_short_is_an_error_that_names_the_byte(pack, tmp_path: Path):
    packed = pack(XML)
    path = write(tmp_path, packed[: len(packed) - 6])
    with pytest.raises(UserError, match=r"dump: damaged or truncated at byte \d+ of the XML"):
        list(unpacked(describe_dump(path).segments[0]))


def test_a_flipped_bit_is_an_error(tmp_path: Path):
    packed = bytearray(bz2.compress(XML))
    packed[len(packed) // 2] ^= 4
    with pytest.raises(UserError, match="damaged"):
        list(unpacked(describe_dump(write(tmp_path, bytes(packed))).segments[0]))


def test_a_small_file_that_unpacks_to_much_comes_in_small_pieces(tmp_path: Path):
    path = write(tmp_path, bz2.compress(bytes(30 * CHUNK)))
    sizes = [len(chunk.text) for chunk in unpacked(describe_dump(path).segments[0])]
    assert max(sizes) <= CHUNK and sum(sizes) == 30 * CHUNK


def test_a_place_in_plain_xml_counts_from_the_beginning_of_the_file():
    assert Segment(Path("x"), "none", 100, 200).place(5) == "byte 105"
    assert Segment(Path("x"), "bzip2", 0, 200).place(5) == "byte 5 of the XML unpacked"
    assert "from byte 100 of the file" in Segment(Path("x"), "bzip2", 100, 200).place(5)


def test_patterns_name_files_once_and_in_order(tmp_path: Path):
    for name in ("b.xml", "a.xml", "c.txt"):
        (tmp_path / name).touch()
    found = find_dumps([str(tmp_path / "b.xml"), str(tmp_path / "*.xml")])
    assert [path.name for path in found] == ["b.xml", "a.xml"]
    with pytest.raises(UserError, match=r"none\*: no such file; expected a MediaWiki export"):
        find_dumps([str(tmp_path / "none*")])
