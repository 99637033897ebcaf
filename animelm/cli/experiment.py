"""demo and reproduce: CPT, SFT, the control without CPT, and their comparison in one command."""

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from jsonargparse import auto_cli

import animelm
from animelm.cli.compare import compare_and_print, print_and_save
from animelm.cli.configs import find_configs
from animelm.cli.report import PAGE, WEEKLY, WEEKLY_FILES
from animelm.cli.trainer import run as run_trainer
from animelm.errors import UserError
from animelm.evaluate.comparison.files import FILES
from animelm.evaluate.comparison.journal import JOURNAL
from animelm.evaluate.results import read_results
from animelm.evaluate.settings import CompareSettings
from animelm.evaluate.summary import pool_summaries, read_summary
from animelm.sample.writer import GENERATED, write_sample
from animelm.terminal import Terminal

# What a run writes into its folder; ``reproduce`` also writes ``sample`` and a folder per seed.
_WRITTEN = (
    *("cpt", "sft", "sft_only", "summary.json", "comparison.svg", PAGE, WEEKLY, WEEKLY_FILES),
    *(*FILES, JOURNAL),
)
# Marks the folder as written by this command, because a user's own runs may also be called cpt and
# sft; holds the settings of the run.
_MARK = ".written-by-animelm.json"
# The control learns from questions alone what CPT + SFT learns from articles and questions.
_WITHOUT_CPT = [
    "--model.adapter.init_from=null",
    "--model.step_name=sft",
    "--data.shares.articles=0",
]


@dataclass(frozen=True)
class _Experiment:
    """Where an experiment is written, and what it trains on."""

    output: Path
    sample: Path
    seed: int
    questions_per_set: int | None

    def run(self) -> None:
        """Trains what has not been trained yet, and compares."""
        begin = time.monotonic()
        console = Terminal()
        console.rule("1 of 4: continual pre-training on articles")
        self._fit("cpt", "cpt.yaml", [])
        console.rule("2 of 4: fine-tuning on questions and answers")
        start = f"--model.adapter.init_from={self.output / 'cpt' / 'adapter'}"
        self._fit("sft", "sft.yaml", [start])
        console.rule("3 of 4: the control, fine-tuning without continual pre-training")
        self._fit("sft_only", "sft.yaml", _WITHOUT_CPT)
        console.rule("4 of 4: what was learned, what was forgotten")
        compare_and_print(self._comparison(time.monotonic() - begin))

    def _fit(self, name: str, config: str, options: list[str]) -> None:
        folder = self.output / name
        if (folder / "adapter").is_dir():
            Terminal().print(f"{folder / 'adapter'} was trained by an earlier run")
            return
        data = [
            f"--data.folder={self.sample / 'anime' / 'articles'}",
            f"--data.records={self.sample / 'anime' / 'qa.jsonl'}",
            f"--data.general_folders=[{self.sample / 'general' / 'articles'}]",
            f"--data.general_records={self.sample / 'general' / 'qa.jsonl'}",
            f"--data.seed={self.seed}",
            f"--seed_everything={self.seed}",
        ]
        arguments = [f"--config={config}", f"--output={folder}", *data, *options]
        run_trainer("fit", arguments, shows_next=False)

    def _comparison(self, seconds_before: float) -> CompareSettings:
        [config] = find_configs(["--config=compare.yaml"])
        text = Path(config.partition("=")[2]).read_text(encoding="utf-8")
        return replace(
            CompareSettings(**yaml.safe_load(text)),
            cpt_adapter=self.output / "cpt" / "adapter",
            sft_adapter=self.output / "sft" / "adapter",
            sft_only_adapter=self.output / "sft_only" / "adapter",
            records=self.sample / "anime" / "qa.jsonl",
            general_records=self.sample / "general" / "qa.jsonl",
            articles=self.sample / "anime" / "articles",
            general_articles=self.sample / "general" / "articles",
            questions_per_set=self.questions_per_set,
            output=self.output,
            seconds_before=seconds_before,
        )


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``demo`` or ``reproduce`` and runs it."""
    function = demo if command == "demo" else reproduce
    auto_cli(function, args=arguments, prog=f"python -m animelm {command}", exit_on_error=False)


def demo(output: Path = Path("runs/demo"), seed: int = 0) -> None:
    """CPT, SFT, the control without CPT, and their comparison on the project's sample.

    A quarter of the works is never asked about in training.

    Args:
        output: Folder for adapters, logs and results. An earlier demo in it is replaced.
        seed: Decides what is held out, the initial adapter and the order of training.

    Raises:
        UserError: the folder holds something that was not written by a demo.
    """
    _require_own(output, _WRITTEN)
    _make_empty(output)
    _mark(output, {"command": "demo"})
    _Experiment(output, GENERATED, seed, questions_per_set=300).run()


def reproduce(
    output: Path = Path("runs/reproduce"),
    works: int | None = None,
    seeds: list[int] = [0],  # noqa: B006 (never changed)
) -> None:
    """CPT, SFT, the control without CPT, and their comparison on the whole sample of 318 works.

    Every held-out question is asked. What an earlier call with the same settings has finished is
    not done again, so that an interrupted run continues and seeds can be added.

    Args:
        output: Folder for the sample, adapters, logs and results.
        works: Number of works to use. By default all works are used.
        seeds: Each decides what is held out, the initial adapter and the order of training. The
            summary is taken over the results of all seeds.

    Raises:
        UserError: there is no seed, or one twice; or the folder holds something that was not
            written by ``reproduce``, or the results of other settings.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {seeds}: expected one seed or more, each once")
    names = [f"seed-{seed}" for seed in seeds]
    others = [path.name for path in output.glob("seed-*")] if output.is_dir() else []
    _require_own(output, (*_WRITTEN, "sample", *others))
    _continue(output, {"command": "reproduce", "works": works, "animelm": animelm.__version__})
    if not (output / "sample" / "general").is_dir():
        write_sample(output / "sample", works)
    for seed, name in zip(seeds, names, strict=True):
        if not (output / name / "summary.json").is_file():
            _Experiment(output / name, output / "sample", seed, questions_per_set=None).run()
    folders = [output / name for name in names]
    summary = pool_summaries(
        [read_summary(folder / "summary.json") for folder in folders],
        [result for folder in folders for result in read_results(folder / "results.jsonl")],
    )
    print_and_save(summary, output)


def _require_own(folder: Path, names: tuple[str, ...]) -> None:
    """Checks that a folder holds nothing but what this command has written.

    Raises:
        UserError: it does.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: expected a folder")
    mark = folder / _MARK
    found = sorted(set(folder.iterdir()) - {mark}) if folder.exists() else []
    foreign = [path.name for path in found if path.name not in names or not mark.is_file()]
    if foreign:
        raise UserError(
            f"--output {folder}: holds {foreign[0]}, which was not written by this command; "
            "expected a new folder, or the folder of an earlier run"
        )


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be replaced: {error.strerror}") from error


def _continue(folder: Path, settings: dict[str, object]) -> None:
    """Marks a new folder, or checks that an earlier run had the same settings."""
    mark = folder / _MARK
    if mark.is_file():
        earlier = json.loads(mark.read_text(encoding="utf-8"))
        for name, value in settings.items():
            if earlier.get(name) != value:
                raise UserError(
                    f"--output {folder}: holds a run with {name}={earlier.get(name)}, and this "
                    f"one has {name}={value}; name another folder, or delete this one"
                )
    _mark(folder, settings)


def _mark(folder: Path, settings: dict[str, object]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).write_text(json.dumps(settings), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written: {error.strerror}") from error
