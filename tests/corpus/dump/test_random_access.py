import bz2
import gzip
import lzma
from collections.abc import Callable

import pytest
from exports import Spec, article, export, multistream

from animelm.corpus.dump.reader import zstd

PAGES = [article(f"題{number}", text=f"本文{number}" * 40) for number in range(12)]
XML = export(PAGES)
PACKED = {
    "plain": XML,
    "gzip": gzip.compress(XML),
    "xz": lzma.compress(XML),
    "zstd": zstd.compress(XML),
    "one stream": bz2.compress(XML),
    "multistream": multistream(PAGES, 3),
}


@pytest.mark.parametrize("kind", PACKED)
def test_pieces_are_read_from_anywhere_in_order(kind: str, index: Callable):
    made = index(PACKED[kind])
    table = made.seek_table
    assert table.is_seekable == (kind in ("plain", "multistream"))
    places = [(page.offset, page.length) for page in made.pages()]
    for wanted in (places, places[5:6], places[1::4], [places[0], places[-1]]):
        part = table.part(wanted[0][0], wanted[-1][0])
        for read in (table.read(wanted), part.read(wanted)):
            assert list(read) == [XML[offset : offset + length] for offset, length in wanted]


def test_streams_that_end_within_a_page_are_read_over(index: Callable):
    """As parallel compressors write them, which know nothing of pages."""
    pieces = [XML[start : start + 997] for start in range(0, len(XML), 997)]
    made = index(b"".join(map(bz2.compress, pieces)))
    places = [(page.offset, page.length) for page in made.pages()]
    assert len(places) == len(PAGES)
    wanted = places[2::3]
    read = list(made.seek_table.part(wanted[0][0], wanted[-1][0]).read(wanted))
    assert read == [XML[offset : offset + length] for offset, length in wanted]


def test_only_the_streams_with_selected_pages_are_unpacked(index: Callable, monkeypatch):
    made = index(multistream([Spec(f"題{n}", "あ" * 5000) for n in range(40)], 1))
    origins = []
    from animelm.corpus.dump import random_access

    original = random_access.unpacked

    def counted(segment):
        for chunk in original(segment):
            origins.append(chunk.origin)
            yield chunk

    monkeypatch.setattr(random_access, "unpacked", counted)
    places = [(page.offset, page.length) for page in made.pages()]
    list(made.seek_table.read([places[3], places[30]]))
    assert len(set(origins)) <= 4
