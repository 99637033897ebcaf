"""Writes a corpus into a work folder, and moves it to its place when it is complete."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from animelm.corpus.articles import Provenance, article_text, file_name
from animelm.corpus.card import CorpusCounts
from animelm.corpus.cleaning.clean import Cleaner
from animelm.corpus.cleaning.decontaminate import Contamination
from animelm.corpus.render import Rendered
from animelm.errors import UserError
from animelm.files import write_errors_as_user_errors, write_whole

ARTICLES = "articles"
MANIFEST, LEFT_OUT, CONTAMINATED = "manifest.jsonl", "left_out.jsonl", "contaminated.jsonl"
CARD, RECORD = "README.md", "build.json"
# In the order in which they are moved into place.
_FILES = (MANIFEST, LEFT_OUT, CONTAMINATED, CARD, RECORD)
_PARTIAL = ".partial"
_FAILURES_SHOWN = 5


@dataclass(frozen=True)
class LeftOut:
    """A selected article that is not in the corpus.

    Attributes:
        title: title of the page.
        page_id: number of the page.
        revision: number of the revision; 0 if it could not be read.
        dump: name of the dump file.
        place: where the page begins in it.
        step: ``parsing``, ``cleaning`` or ``naming``.
        reason: why it was left out.
    """

    title: str
    page_id: int
    revision: int
    dump: str
    place: str
    step: str
    reason: str


@dataclass(frozen=True)
class BuildResult:
    """A complete corpus.

    Attributes:
        counts: numbers of pages.
        failures: the first pages that could not be parsed.
    """

    counts: CorpusCounts
    failures: list[LeftOut]

    @classmethod
    def read(cls, out: Path) -> "BuildResult":
        """Reads ``build.json`` and ``left_out.jsonl``."""
        record = json.loads((out / RECORD).read_text("utf-8"))
        failures: list[LeftOut] = []
        with (out / LEFT_OUT).open(encoding="utf-8") as lines:
            for line in lines:
                entry = LeftOut(**json.loads(line))
                if entry.step == "parsing" and len(failures) < _FAILURES_SHOWN:
                    failures.append(entry)
        return cls(CorpusCounts(**record["counts"]), failures)


class WorkFolder:
    """The folder ``.partial`` in the folder of the corpus, in which a build works.

    Args:
        out: folder of the corpus.
        fingerprint: hash of everything that decides the result. The work of a build with another
            fingerprint is deleted.

    Raises:
        UserError: the folder holds files that would be replaced and do not belong to a corpus.
    """

    def __init__(self, out: Path, fingerprint: str) -> None:
        self._out = out
        self.folder = out / _PARTIAL
        self.rendered = self.folder / "rendered"
        mark = self.folder / "fingerprint"
        if out.exists() and not out.is_dir():
            raise UserError(f"--out {out}: is a file; expected a folder")
        if not (self.folder.is_dir() or (out / RECORD).is_file()):
            for name in (ARTICLES, *_FILES):
                if (out / name).exists():
                    raise UserError(
                        f"--out {out}: holds {name}, which does not belong to a corpus built here; "
                        "choose another folder"
                    )
        with write_errors_as_user_errors(out):
            if not (mark.is_file() and mark.read_text("utf-8") == fingerprint):
                shutil.rmtree(self.folder, ignore_errors=True)
                self.rendered.mkdir(parents=True)
                write_whole(mark, fingerprint)

    @property
    def is_complete(self) -> bool:
        """Whether everything is written and only has to be moved into place."""
        return (self.folder / RECORD).is_file()

    def publish(self) -> None:
        """Moves everything into place. If interrupted, it can be called again.

        The old ``build.json`` is deleted first and the new one moved last: while it exists, the
        corpus is complete.
        """
        with write_errors_as_user_errors(self._out):
            (self._out / RECORD).unlink(missing_ok=True)
            if (self.folder / ARTICLES).is_dir():
                if (self._out / ARTICLES).is_dir():
                    shutil.rmtree(self.folder / "old", ignore_errors=True)
                    os.replace(self._out / ARTICLES, self.folder / "old")
                os.replace(self.folder / ARTICLES, self._out / ARTICLES)
            for name in _FILES:
                if (self.folder / name).is_file():
                    os.replace(self.folder / name, self._out / name)
            shutil.rmtree(self.folder)


class CorpusWriter:
    """Writes the articles, and the lists of those kept and those left out.

    Args:
        folder: folder to write to; the files of an interrupted build are replaced.
        license: license of the articles.
        address: returns the address of a page from its title and the name of its dump.
    """

    def __init__(self, folder: Path, license: str, address: Callable[[str, str], str]) -> None:
        self._folder = folder
        self._license = license
        self._address = address
        self._files = ExitStack()
        self.kept = 0
        self.characters = 0
        self.left_out: Counter[str] = Counter()
        with write_errors_as_user_errors(folder):
            shutil.rmtree(folder / ARTICLES, ignore_errors=True)
            (folder / ARTICLES).mkdir()
            self._manifest, self._left_out = (
                self._files.enter_context((folder / name).open("w", encoding="utf-8", newline="\n"))
                for name in (MANIFEST, LEFT_OUT)
            )

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        with write_errors_as_user_errors(self._folder):
            self._files.close()

    def add(self, rendered: Rendered, cleaner: Cleaner) -> None:
        """Cleans an article, and writes it or lists it as left out."""
        if rendered.failure:
            self._leave_out(rendered, "parsing", rendered.failure)
            return
        result = cleaner.clean(rendered.page.title, rendered.markdown)
        if result.kept:
            self._keep(rendered, result.markdown)
        else:
            self._leave_out(rendered, "cleaning", result.reason)

    def _keep(self, rendered: Rendered, markdown: str) -> None:
        """Writes an article, unless another has its name: the page stands in the dump twice."""
        page = rendered.page
        source = self._address(page.title, rendered.dump)
        provenance = Provenance(
            page.title, page.page_id, rendered.revision, page.categories, source, self._license
        )
        name = file_name(page.page_id, page.title)
        content = article_text(provenance, markdown).encode("utf-8", "replace")
        with write_errors_as_user_errors(self._folder / ARTICLES / name):
            try:
                with (self._folder / ARTICLES / name).open("xb") as file:
                    file.write(content)
            except FileExistsError:
                self._leave_out(rendered, "naming", "its number and title stand in the dump before")
                return
            entry = {
                "file": f"{ARTICLES}/{name}",
                **asdict(provenance),
                "sha256": hashlib.sha256(content).hexdigest(),
                "characters": len(markdown),
                "selected_because": page.reasons,
            }
            self._manifest.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.kept += 1
        self.characters += len(markdown)

    def _leave_out(self, rendered: Rendered, step: str, reason: str) -> None:
        """Lists an article that is not in the corpus."""
        page = rendered.page
        entry = LeftOut(
            page.title, page.page_id, rendered.revision, rendered.dump, page.place, step, reason
        )
        with write_errors_as_user_errors(self._folder / LEFT_OUT):
            self._left_out.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
        self.left_out[step] += 1

    def write_contaminations(self, found: list[Contamination]) -> None:
        """Lists the passages that contain evaluation questions."""
        lines = [json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in found]
        with write_errors_as_user_errors(self._folder / CONTAMINATED):
            (self._folder / CONTAMINATED).write_text("".join(lines), encoding="utf-8")


def is_built(out: Path, fingerprint: str) -> bool:
    """Whether the folder holds a corpus of this fingerprint, with its files unchanged."""
    try:
        record = json.loads((out / RECORD).read_text("utf-8"))
        if record["fingerprint"] != fingerprint:
            return False
        hashes = dict(record["sha256"])
        with (out / MANIFEST).open(encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                if _hash(out / entry["file"]) != entry["sha256"]:
                    return False
        return all(_hash(out / name) == value for name, value in hashes.items())
    except (OSError, ValueError, KeyError):
        return False


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a corpus other than its articles, by name."""
    return {name: _hash(folder / name) for name in _FILES if (folder / name).is_file()}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
