"""Builds a corpus from dump files: index, select, render, clean, write."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from animelm.corpus.articles import page_address
from animelm.corpus.batches import page_batches, selected_pages
from animelm.corpus.card import CorpusCounts, Source, dataset_card
from animelm.corpus.cleaning.clean import Cleaner, CleaningSettings
from animelm.corpus.cleaning.decontaminate import Question
from animelm.corpus.cleaning.language import LANGUAGES
from animelm.corpus.dump.index import DumpIndex, scan_dumps
from animelm.corpus.dump.page_entry import PageCounts
from animelm.corpus.dump.reader import describe_dump, find_dumps
from animelm.corpus.output import (
    CARD,
    RECORD,
    BuildResult,
    CorpusWriter,
    WorkFolder,
    file_hashes,
    is_built,
)
from animelm.corpus.parallel import run_in_order
from animelm.corpus.render import SelectedPage, read_rendered, render_batch
from animelm.corpus.selection.select import Selection, Selector
from animelm.errors import UserError
from animelm.files import default_cache, write_whole
from animelm.locks import clear_leftovers, folder_lock

_TASKS_PER_WORKER = 4

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""``with progress(description, bytes) as advance``: a progress bar. ``advance`` takes the number of
bytes done since the last call."""


@dataclass(frozen=True)
class BuildSettings:
    """Input, output and resources of a build.

    Args:
        dump: MediaWiki exports (.xml, plain or as .bz2, .gz, .xz, .zst) of one wiki. Patterns such
            as 'parts/*.bz2' are allowed.
        out: Folder to write the corpus to. A corpus that is already there is replaced once the new
            one is complete.
        license: License of the dump's text, written into every article and the dataset card.
        workers: Number of processes that scan and render; null for one per core.
        cache: Folder for the indexes of scanned dumps, so that each dump is scanned only once; null
            for ~/.cache/animelm.
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
        """Number of processes that scan and render."""
        if self.workers is not None:
            return self.workers
        # A scheduler or a container may allow fewer cores than the machine has.
        may_use = getattr(os, "sched_getaffinity", None)
        return len(may_use(0)) if may_use else os.cpu_count() or 1


def no_progress(description: str, total: int) -> AbstractContextManager[Advance]:
    """Shows nothing."""
    return nullcontext(lambda _: None)


def index_dumps(
    settings: BuildSettings, executor: Executor | None = None, progress: Progress = no_progress
) -> list[DumpIndex]:
    """Scans the dumps, or reads the cached indexes of an earlier scan.

    Args:
        settings: names the dumps and the cache.
        executor: an executor as in ``concurrent.futures``, such as that of ``local_workers`` or of
            a Dask client. Its workers must see the same files by the same paths. None runs in this
            process.
        progress: shows progress bars.

    Raises:
        UserError: a dump does not exist, is not a MediaWiki export, or is damaged.
    """
    names = [settings.dump] if isinstance(settings.dump, str) else settings.dump
    dumps = [describe_dump(path) for path in find_dumps(names)]
    cache = settings.cache or default_cache()
    with progress("Scanning", sum(dump.size for dump in dumps)) as advance:
        return scan_dumps(dumps, cache, executor, advance)


def build_corpus(
    indexes: Sequence[DumpIndex],
    settings: BuildSettings,
    selection: Selection,
    cleaning: CleaningSettings,
    questions: Sequence[Question] = (),
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> BuildResult:
    """Builds a corpus, unless the same corpus is there already.

    The same dumps and settings give the same bytes, whatever the executor. The corpus appears whole
    or not at all; an interrupted build is continued.

    Args:
        indexes: indexes of the dumps, from ``index_dumps`` with the same settings.
        settings: input, output and resources.
        selection: which articles are selected.
        cleaning: which of these are kept.
        questions: the questions in the files that ``cleaning`` names.
        executor: as for ``index_dumps``.
        progress: shows progress bars.

    Raises:
        UserError: no article matches the selection, a dump cannot be read, the corpus cannot be
            written, or another process writes it.
    """
    with folder_lock(settings.out, "--out"):
        return _build(indexes, settings, selection, cleaning, questions, executor, progress)


def _build(
    indexes: Sequence[DumpIndex],
    settings: BuildSettings,
    selection: Selection,
    cleaning: CleaningSettings,
    questions: Sequence[Question],
    executor: Executor | None,
    progress: Progress,
) -> BuildResult:
    selector = Selector(selection, indexes)
    fingerprint = _fingerprint(settings, selection, cleaning, questions, indexes)
    if is_built(settings.out, fingerprint):
        return BuildResult.read(settings.out)
    selected, selected_bytes = _count(selected_pages(selector, indexes))
    if not selected:
        raise UserError(
            "no article matches the selection "
            f"({sum(index.counts.articles for index in indexes):,} scanned); "
            "--explain TITLE prints why a page is not selected"
        )
    work = WorkFolder(settings.out, fingerprint)
    clear_leftovers(work.folder)
    clear_leftovers(work.rendered)
    if not work.is_complete:
        batches = page_batches(selector, indexes, work.rendered)
        tasks = ((batch,) for batch in batches)
        ahead = _TASKS_PER_WORKER * settings.worker_count
        cleaner = Cleaner(cleaning, questions)
        sites = {index.dump.path.name: index.site for index in indexes}

        def address(title: str, dump: str) -> str:
            return page_address(sites[dump], title) or dump

        with (
            progress("Rendering", selected_bytes) as advance,
            CorpusWriter(work.folder, settings.license, address) as writer,
        ):
            for path in run_in_order(executor, render_batch, tasks, ahead):
                for rendered in read_rendered(path):
                    writer.add(rendered, cleaner)
                    advance(rendered.page.length)
            writer.write_contaminations(cleaner.contaminations)
        _describe(work, writer, settings, selection, cleaning, indexes, fingerprint)
    work.publish()
    return BuildResult.read(settings.out)


def _count(selected: Iterable[tuple[DumpIndex, SelectedPage]]) -> tuple[int, int]:
    """The number of selected pages, and the bytes of their XML."""
    pages = size = 0
    for _, page in selected:
        pages += 1
        size += page.length
    return pages, size


def dump_language(indexes: Sequence[DumpIndex]) -> str:
    """The language of the dumps' wiki; ``any`` if cleaning does not know its script."""
    language = indexes[0].site.language
    return language if language in LANGUAGES else "any"


def _fingerprint(
    settings: BuildSettings,
    selection: Selection,
    cleaning: CleaningSettings,
    questions: Sequence[Question],
    indexes: Sequence[DumpIndex],
) -> str:
    """A hash of everything that decides the result, including the code of this package."""
    total = hashlib.sha256()
    room = Path(__file__).parent
    for path in sorted(path for path in room.rglob("*") if path.suffix in (".py", ".yaml")):
        total.update(path.read_bytes())
    decisive = {
        "selection": asdict(selection),
        "cleaning": {**asdict(cleaning), "questions": [asdict(question) for question in questions]},
        "license": settings.license,
        "dumps": [(index.dump.path.name, index.dump.sha256) for index in indexes],
    }
    total.update(json.dumps(decisive, ensure_ascii=False, sort_keys=True).encode())
    return total.hexdigest()


def _describe(
    work: WorkFolder,
    writer: CorpusWriter,
    settings: BuildSettings,
    selection: Selection,
    cleaning: CleaningSettings,
    indexes: Sequence[DumpIndex],
    fingerprint: str,
) -> None:
    """Writes the dataset card, and last ``build.json``."""
    pages = sum((index.counts for index in indexes), PageCounts())
    counts = CorpusCounts(
        **asdict(pages),
        selected=writer.kept + sum(writer.left_out.values()),
        kept=writer.kept,
        not_parsed=writer.left_out["parsing"],
        refused=writer.left_out["cleaning"] + writer.left_out["naming"],
        characters=writer.characters,
    )
    dumps = [index.dump for index in indexes]
    sources = [Source(dump.path.name, dump.sha256, dump.size) for dump in dumps]
    site = indexes[0].site
    card = dataset_card(site.base, site.language, settings.license, selection, sources, counts)
    write_whole(work.folder / CARD, card)
    record = {
        "fingerprint": fingerprint,
        "selection": asdict(selection),
        "cleaning": {**asdict(cleaning), "questions": [path.name for path in cleaning.questions]},
        "license": settings.license,
        "dumps": [asdict(source) for source in sources],
        "counts": asdict(counts),
        "sha256": file_hashes(work.folder),
    }
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    write_whole(work.folder / RECORD, text)
