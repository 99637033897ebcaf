"""What the faults are injected into: a tiny base, a few articles and questions, a small dump."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.faults.launch import Ended, run

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "corpus")]
_WORKS = 4
_STEPS = 8


@dataclass
class Scene:
    """Inputs, the commands that use them, and what an unbroken run of each gives.

    Args:
        folder: an empty folder for everything that is written.
    """

    folder: Path

    def place(self, name: str) -> Path:
        """A new empty folder."""
        number = sum(1 for _ in self.folder.glob(f"{name}-*"))
        made = self.folder / f"{name}-{number:03d}"
        made.mkdir()
        return made

    @cached_property
    def base(self) -> Path:
        """A gpt-oss of random weights, written by a process of its own."""
        folder = self.place("base")

        def write() -> None:
            from tiny_base import write_tiny_base

            write_tiny_base(folder)

        _require(run(write, folder))
        return folder

    @cached_property
    def sample(self) -> Path:
        """Articles and questions of a few works, and as many general ones."""
        generated = ROOT / "animelm" / "sample" / "generated"
        folder = self.place("sample")
        for domain in ("anime", "general"):
            articles = folder / domain / "articles"
            articles.mkdir(parents=True)
            for number in range(1, _WORKS + 1):
                for path in (generated / domain / "articles").glob(f"{number:04}-0[1-4].md"):
                    shutil.copy(path, articles)
            lines = (generated / domain / "qa.jsonl").read_text("utf-8").splitlines()
            works = list(dict.fromkeys(json.loads(line)["work"] for line in lines))[:_WORKS]
            kept = [line for line in lines if json.loads(line)["work"] in works]
            (folder / domain / "qa.jsonl").write_text("\n".join(kept) + "\n", "utf-8")
        return folder

    def fit(self, out: Path, *options: str, steps: int = _STEPS) -> list[str]:
        """Continual pre-training of some steps, with a checkpoint after each second one."""
        return [
            "fit",
            "--config=cpt.yaml",
            f"--model.base={self.base}",
            "--model.compute.dtype=float32",
            "--model.lora.rank=4",
            "--data.block_size=128",
            "--data.blocks_per_batch=2",
            f"--data.folder={self.sample / 'anime' / 'articles'}",
            f"--data.general_folders=[{self.sample / 'general' / 'articles'}]",
            f"--data.general_records={self.sample / 'general' / 'qa.jsonl'}",
            "--data.questions_per_set=2",
            "--data.shares={questions: 0, general_articles: 0.2, general_questions: 0}",
            "--data.validation_share=0.25",
            "--trainer.limit_val_batches=0",
            f"--trainer.limit_train_batches={steps}",
            "--trainer.max_epochs=1",
            "--every_n_steps.checkpoint=2",
            "--trainer.enable_progress_bar=false",
            f"--output={out}",
            "--overwrite",  # a killed fit may have left an adapter and no checkpoint yet
            *options,
        ]

    @cached_property
    def fitted(self) -> Path:
        """An unbroken fit."""
        place = self.place("fitted")
        _require(run(self.fit(place / "out"), place))
        return place / "out"

    @cached_property
    def dump(self) -> Path:
        """A dump of some hundred short pages."""
        from exports import article, category, export

        path = self.place("dump") / "dump.xml"
        pages = [category("アニメ"), *(article(f"作品{number}", "アニメ") for number in range(300))]
        path.write_bytes(export(pages))
        return path

    def build(self, out: Path, *options: str) -> list[str]:
        """Builds a corpus with two workers."""
        return [
            "corpus",
            "build",
            f"--dump={self.dump}",
            f"--out={out}",
            "--category=アニメ",
            "--workers=2",
            "--cleaning.near_duplicate_threshold=1",
            *options,
        ]

    @cached_property
    def built(self) -> Path:
        """An unbroken build."""
        place = self.place("built")
        _require(run(self.build(place / "out"), place))
        return place / "out"

    def compare(self, out: Path) -> list[str]:
        """Compares the base with the adapter of the unbroken fit."""
        return [
            "compare",
            f"--base={self.base}",
            f"--cpt_adapter={self.fitted / 'adapter'}",
            f"--records={self.sample / 'anime' / 'qa.jsonl'}",
            "--general_records=null",
            "--articles=null",
            "--general_articles=null",
            "--questions_per_set=3",
            "--max_new_tokens=4",
            f"--output={out}",
        ]

    @cached_property
    def compared(self) -> Path:
        """An unbroken comparison."""
        place = self.place("compared")
        _require(run(self.compare(place / "out"), place))
        return place / "out"

    @cached_property
    def many_articles(self) -> Path:
        """Articles that two workers tokenize together."""
        folder = self.place("articles")
        text = "".join(p.read_text("utf-8") for p in (self.sample / "anime").rglob("*.md"))
        for number in range(450):
            article = f"# 題{number}\n\n{text[7 * number : 7 * number + 400]}"
            (folder / f"{number:04d}.md").write_text(article, "utf-8")
        return folder

    def tokenize(self, cache: Path) -> Callable[[], None]:
        """Tokenizes them with two workers."""
        base, articles = self.base, self.many_articles

        def tokenize() -> None:
            from animelm.data.tokenization.token_store import tokenize_folder
            from animelm.data.tokenization.tokenizer import load_tokenizer

            tokenize_folder(articles, load_tokenizer(str(base)), 2, cache)

        return tokenize

    @cached_property
    def tokenized(self) -> Path:
        """An unbroken tokenization."""
        place = self.place("tokenized")
        _require(run(self.tokenize(place / "out"), place))
        return place / "out"


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file below a folder, without what differs from run to run by design."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".animelm.lock"
    }


def leftovers(folder: Path) -> list[str]:
    """What is only there while something is written."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob(".*.partial")]


def weights(out: Path) -> str:
    """The hash of the adapter of a fit; empty if there is none."""
    path = out / "adapter" / "adapter_model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint of a fit."""
    found = [*out.glob("version_*/checkpoints/*.ckpt")]
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def _require(ended: Ended) -> None:
    if ended.status:
        raise RuntimeError(f"the unbroken run failed: {ended.err[-1500:]}")
