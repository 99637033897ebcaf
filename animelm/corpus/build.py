"""From dump files to a corpus: index, choose, render what was chosen, clean, write."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from animelm.corpus.articles import page_address
from animelm.corpus.card import CorpusCounts, Source, dataset_card
from animelm.corpus.cleaning.clean import Cleaner, CleaningSettings
from animelm.corpus.cleaning.decontaminate import Question
from animelm.corpus.cleaning.language import LANGUAGES
from animelm.corpus.dump.index import DumpIndex, scan_dumps
from animelm.corpus.dump.page_entry import PageCounts
from animelm.corpus.dump.random_access import ForwardReader
from animelm.corpus.dump.reader import find_dumps, survey
from animelm.corpus.output import CARD, RECORD, Built, CorpusWriter, Workshop, file_hashes, is_built
from animelm.corpus.parallel import in_order
from animelm.corpus.render import Batch, ChosenPage, read_rendered, render_batch
from animelm.corpus.selection.select import Choice, Selector
from animelm.errors import UserError
from animelm.files import default_cache, write_whole

# Small enough that workers share evenly and an interruption costs little; large enough that the
# streams at a batch's ends, which the next batch unpacks again, are a small part of it.
_BATCH_BYTES = 2 << 20
_BATCH_PAGES = 1000
_TASKS_PER_WORKER = 4

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""``with progress(description, bytes) as advance``: a bar, told how many more bytes are done."""


@dataclass(frozen=True)
class BuildSettings:
    """Where a corpus comes from and goes to.

    Args:
        dump: MediaWiki exports (.xml, .xml.bz2, .xml.gz) of one wiki; patterns such as
            'parts/*.bz2' are understood.
        out: Folder of the corpus; an earlier corpus in it is replaced when the new one is whole.
        license: License of the dump's text, written into every article and the card.
        workers: Processes that scan and render; null for one on each core.
        cache: Folder of what scans have found, so that another choice from the same dump needs no
            scan; null for ~/.cache/animelm.
    """

    dump: str | list[str]
    out: Path = Path("corpus")
    license: str = "CC BY-SA 4.0"
    workers: int | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers must be at least 1, not {self.workers}")

    @property
    def worker_count(self) -> int:
        """Processes that scan and render."""
        if self.workers is not None:
            return self.workers
        # Fewer than the machine's cores, where a scheduler or a container lends only some.
        may_use = getattr(os, "sched_getaffinity", None)
        return len(may_use(0)) if may_use else os.cpu_count() or 1


def no_progress(description: str, total: int) -> AbstractContextManager[Advance]:
    """A bar that is not drawn."""
    return nullcontext(lambda _: None)


@contextmanager
def local_workers(count: int) -> Iterator[Executor | None]:
    """Processes of this machine; None for one, which is this process itself."""
    if count == 1:
        yield None
        return
    # Spawned, because a fork would copy the locks of threads that libraries have started.
    executor = ProcessPoolExecutor(count, get_context("spawn"), _ignore_interrupts)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """The main process ends the others; each would print a traceback of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def index_dumps(
    settings: BuildSettings, executor: Executor | None = None, progress: Progress = no_progress
) -> list[DumpIndex]:
    """Scans the dumps, or finds what an earlier scan has found.

    Args:
        settings: which dumps.
        executor: of ``concurrent.futures``' kind, such as ``local_workers`` or a Dask client's. Its
            workers must see the same files by the same paths. None does the work here.
        progress: draws bars.

    Raises:
        UserError: a dump is not there, is no MediaWiki export, or is damaged.
    """
    names = [settings.dump] if isinstance(settings.dump, str) else settings.dump
    dumps = [survey(path) for path in find_dumps(names)]
    cache = settings.cache or default_cache()
    with progress("Scanning", sum(dump.size for dump in dumps)) as advance:
        return scan_dumps(dumps, cache, executor, advance)


def build_corpus(
    indexes: Sequence[DumpIndex],
    settings: BuildSettings,
    choice: Choice,
    cleaning: CleaningSettings,
    questions: Sequence[Question] = (),
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> Built:
    """Builds a corpus, or finds it built already.

    The same dumps and settings give the same bytes, whatever runs the work. The corpus appears
    whole or not at all; a build that was interrupted goes on where it stopped.

    Args:
        indexes: of the dumps, by ``index_dumps`` with the same settings.
        settings: where from and where to.
        choice: which articles.
        cleaning: what is asked of them.
        questions: those in the files that ``cleaning`` names.
        executor: as ``index_dumps``.
        progress: draws bars.

    Raises:
        UserError: nothing is chosen, a dump cannot be read, or the corpus not be written.
    """
    selector = Selector(choice, indexes)
    fingerprint = _fingerprint(settings, choice, cleaning, questions, indexes)
    if is_built(settings.out, fingerprint):
        return Built.read(settings.out)
    chosen, chosen_bytes = _count(_chosen(selector, indexes))
    if not chosen:
        raise UserError(
            f"nothing is chosen of {sum(index.counts.articles for index in indexes):,} articles; "
            "--explain TITLE says why a page is out"
        )
    workshop = Workshop(settings.out, fingerprint)
    if not workshop.is_complete:
        batches = _batches(selector, indexes, workshop.rendered)
        tasks = ((batch,) for batch in batches)
        ahead = _TASKS_PER_WORKER * settings.worker_count
        cleaner = Cleaner(cleaning, questions)
        sites = {index.dump.path.name: index.site for index in indexes}

        def address(title: str, dump: str) -> str:
            return page_address(sites[dump], title) or dump

        with (
            progress("Rendering", chosen_bytes) as advance,
            CorpusWriter(workshop.folder, settings.license, address) as writer,
        ):
            for path in in_order(executor, render_batch, tasks, ahead):
                for rendered in read_rendered(path):
                    writer.judge(rendered, cleaner)
                    advance(rendered.page.length)
            writer.write_contaminations(cleaner.contaminations)
        _describe(workshop, writer, settings, choice, cleaning, indexes, fingerprint)
    workshop.publish()
    return Built.read(settings.out)


def _chosen(
    selector: Selector, indexes: Sequence[DumpIndex]
) -> Iterator[tuple[DumpIndex, ChosenPage]]:
    for index in indexes:
        for page in index.pages():
            judgement = selector.judge(page)
            if judgement.chosen:
                yield (
                    index,
                    ChosenPage(
                        page.offset,
                        page.length,
                        page.page_id,
                        page.title,
                        page.categories,
                        judgement.reasons,
                        index.place(page.offset),
                    ),
                )


def _count(chosen: Iterable[tuple[DumpIndex, ChosenPage]]) -> tuple[int, int]:
    """Pages chosen, and bytes of their XML."""
    pages = size = 0
    for _, page in chosen:
        pages += 1
        size += page.length
    return pages, size


def _batches(selector: Selector, indexes: Sequence[DumpIndex], folder: Path) -> Iterator[Batch]:
    """The chosen pages in portions that depend on nothing but the choice and the dumps."""
    held: list[ChosenPage] = []
    size = number = 0
    reader: ForwardReader | None = None
    reading: DumpIndex | None = None

    def batch() -> Batch:
        nonlocal held, size, number, reader
        assert reading is not None
        table, target = reading.seek_table, folder / f"{number:06d}.jsonl"
        spans: tuple[bytes, ...] | None = None
        if not table.is_seekable:
            # Read here, once, from the beginning to the end.
            reader = reader or ForwardReader(table)
            is_there = target.is_file()
            spans = () if is_there else tuple(reader.take(p.offset, p.length) for p in held)
        part = table.part(held[0].offset, held[-1].offset)
        made = Batch(part, tuple(held), spans, target)
        held, size, number = [], 0, number + 1
        return made

    for index, page in _chosen(selector, indexes):
        if held and (index is not reading or size >= _BATCH_BYTES or len(held) >= _BATCH_PAGES):
            yield batch()
        if index is not reading:
            reading, reader = index, None
        held.append(page)
        size += page.length
    if held:
        yield batch()


def dump_language(indexes: Sequence[DumpIndex]) -> str:
    """The language of the dumps' wiki; ``any`` where its script is not known to cleaning."""
    language = indexes[0].site.language
    return language if language in LANGUAGES else "any"


def _fingerprint(
    settings: BuildSettings,
    choice: Choice,
    cleaning: CleaningSettings,
    questions: Sequence[Question],
    indexes: Sequence[DumpIndex],
) -> str:
    """A hash of all that decides what is built, the code of this room included."""
    total = hashlib.sha256()
    room = Path(__file__).parent
    for path in sorted(path for path in room.rglob("*") if path.suffix in (".py", ".yaml")):
        total.update(path.read_bytes())
    decisive = {
        "choice": asdict(choice),
        "cleaning": {**asdict(cleaning), "questions": [asdict(question) for question in questions]},
        "license": settings.license,
        "dumps": [(index.dump.path.name, index.dump.sha256) for index in indexes],
    }
    total.update(json.dumps(decisive, ensure_ascii=False, sort_keys=True).encode())
    return total.hexdigest()


def _describe(
    workshop: Workshop,
    writer: CorpusWriter,
    settings: BuildSettings,
    choice: Choice,
    cleaning: CleaningSettings,
    indexes: Sequence[DumpIndex],
    fingerprint: str,
) -> None:
    """Writes the card, and ``build.json`` last."""
    pages = sum((index.counts for index in indexes), PageCounts())
    counts = CorpusCounts(
        **asdict(pages),
        chosen=writer.kept + sum(writer.left_out.values()),
        kept=writer.kept,
        not_parsed=writer.left_out["parsing"],
        refused=writer.left_out["cleaning"] + writer.left_out["naming"],
        characters=writer.characters,
    )
    dumps = [index.dump for index in indexes]
    sources = [Source(dump.path.name, dump.sha256, dump.size) for dump in dumps]
    site = indexes[0].site
    card = dataset_card(site.base, site.language, settings.license, choice, sources, counts)
    write_whole(workshop.folder / CARD, card)
    record = {
        "fingerprint": fingerprint,
        "choice": asdict(choice),
        "cleaning": {**asdict(cleaning), "questions": [path.name for path in cleaning.questions]},
        "license": settings.license,
        "dumps": [asdict(source) for source in sources],
        "counts": asdict(counts),
        "sha256": file_hashes(workshop.folder),
    }
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    write_whole(workshop.folder / RECORD, text)
