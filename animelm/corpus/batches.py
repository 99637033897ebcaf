"""The selected pages of the dumps, in batches that workers render."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from animelm.corpus.dump.index import DumpIndex
from animelm.corpus.dump.random_access import ForwardReader
from animelm.corpus.render import Batch, SelectedPage, is_rendered
from animelm.corpus.selection.select import Selector

# Small enough that workers share evenly and an interruption costs little; large enough that the
# streams at a batch's ends, which the next batch unpacks again, are a small part of it.
_BATCH_BYTES = 2 << 20
_BATCH_PAGES = 1000


def selected_pages(
    selector: Selector, indexes: Sequence[DumpIndex]
) -> Iterator[tuple[DumpIndex, SelectedPage]]:
    """The pages that a corpus is made of, each with the index of its dump, in order."""
    for index in indexes:
        for page in index.pages():
            result = selector.check(page)
            if result.selected:
                yield (
                    index,
                    SelectedPage(
                        page.offset,
                        page.length,
                        page.page_id,
                        page.title,
                        page.categories,
                        result.reasons,
                        index.place(page.offset),
                    ),
                )


def page_batches(selector: Selector, indexes: Sequence[DumpIndex], folder: Path) -> Iterator[Batch]:
    """The selected pages in batches that depend on the selection and the dumps alone."""
    held: list[SelectedPage] = []
    size = number = 0
    reader: ForwardReader | None = None
    reading: DumpIndex | None = None

    def batch() -> Batch:
        nonlocal held, size, number, reader
        assert reading is not None
        table, target = reading.seek_table, folder / f"{number:06d}.jsonl"
        spans: tuple[bytes, ...] | None = None
        if not table.is_seekable:
            # Not seekable: read here, once, from the beginning to the end.
            reader = reader or ForwardReader(table)
            is_there = is_rendered(target)
            spans = () if is_there else tuple(reader.take(p.offset, p.length) for p in held)
        part = table.part(held[0].offset, held[-1].offset)
        made = Batch(part, tuple(held), spans, target)
        held, size, number = [], 0, number + 1
        return made

    for index, page in selected_pages(selector, indexes):
        if held and (index is not reading or size >= _BATCH_BYTES or len(held) >= _BATCH_PAGES):
            yield batch()
        if index is not reading:
            reading, reader = index, None
        held.append(page)
        size += page.length
    if held:
        yield batch()
