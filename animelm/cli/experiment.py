"""demo and reproduce: CPT, SFT and comparison in one command."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import yaml
from jsonargparse import auto_cli
from rich.console import Console

from animelm.cli.compare import compare_and_print
from animelm.cli.configs import find_configs
from animelm.cli.trainer import run as run_trainer
from animelm.errors import UserError
from animelm.evaluate.settings import CompareSettings
from animelm.sample.writer import GENERATED, write_sample

# Two passes over the questions are enough for the demo's 36 works; with 238 works two facts in five
# were not learned. General answers get worse while the learning rate is high, and recover later.
_MORE_PASSES = ["--trainer.max_epochs=4", "--data.replay_share=0.25"]
# What a run writes into its folder; ``reproduce`` also writes ``sample``.
_WRITTEN = ("cpt", "sft", "results.jsonl", "summary.json")
# An empty file that marks the folder as written by this command, because a user's own runs may also
# be called cpt and sft.
_MARK = ".replaced-by-the-next-run"


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``demo`` or ``reproduce`` and runs it."""
    function = demo if command == "demo" else reproduce
    auto_cli(function, args=arguments, prog=f"python -m animelm {command}")


def demo(output: Path = Path("runs/demo")) -> None:
    """CPT, SFT and comparison on the project's sample of 48 works.

    A quarter of the works is never asked about in training.

    Args:
        output: Folder for adapters, logs and results. An earlier demo in it is replaced.

    Raises:
        UserError: the folder holds something that was not written by a demo.
    """
    _make_empty(output, _WRITTEN)
    _experiment(output, GENERATED, questions_per_set=300, fine_tuning=[])


def reproduce(output: Path = Path("runs/reproduce"), works: int | None = None) -> None:
    """CPT, SFT and comparison on the whole sample of 318 works.

    Every held-out question is asked.

    Args:
        output: Folder for the sample, adapters, logs and results. An earlier run in it is
            replaced.
        works: Number of works to use. By default all works are used.

    Raises:
        UserError: the folder holds something that was not written by ``reproduce``.
    """
    _make_empty(output, (*_WRITTEN, "sample"))
    write_sample(output / "sample", works)
    _experiment(output, output / "sample", questions_per_set=None, fine_tuning=_MORE_PASSES)


def _make_empty(folder: Path, names: tuple[str, ...]) -> None:
    """Makes the folder, and removes an earlier run unless the folder also holds other files."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: expected a folder")
    mark = folder / _MARK
    found = sorted(set(folder.iterdir()) - {mark}) if folder.exists() else []
    foreign = [path.name for path in found if path.name not in names or not mark.is_file()]
    if foreign:
        raise UserError(
            f"--output {folder}: holds {foreign[0]}, which was not written by this command; "
            "expected a new folder, or the folder of an earlier run, which is replaced"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be replaced: {error.strerror}") from error


def _experiment(
    output: Path, sample: Path, questions_per_set: int | None, fine_tuning: list[str]
) -> None:
    begin = time.monotonic()
    console = Console()
    anime, general = sample / "anime", sample / "general"
    console.rule("1 of 3: continual pre-training on articles")
    _fit(
        output / "cpt",
        "cpt.yaml",
        [
            f"--data.folder={anime / 'articles'}",
            f"--data.replay_folders=[{general / 'articles'}]",
        ],
    )
    console.rule("2 of 3: fine-tuning on questions and answers")
    _fit(
        output / "sft",
        "sft.yaml",
        [
            f"--model.adapter.init_from={output / 'cpt' / 'adapter'}",
            f"--data.records={anime / 'qa.jsonl'}",
            f"--data.replay_records={general / 'qa.jsonl'}",
            *fine_tuning,
        ],
    )
    console.rule("3 of 3: what was learned, what was forgotten")
    [config] = find_configs(["--config=compare.yaml"])
    settings = CompareSettings(
        **yaml.safe_load(Path(config.partition("=")[2]).read_text(encoding="utf-8"))
    )
    settings = replace(
        settings,
        cpt_adapter=output / "cpt" / "adapter",
        sft_adapter=output / "sft" / "adapter",
        records=anime / "qa.jsonl",
        general_records=general / "qa.jsonl",
        articles=anime / "articles",
        general_articles=general / "articles",
        questions_per_set=questions_per_set,
        output=output,
        seconds_before=time.monotonic() - begin,
    )
    compare_and_print(settings)


def _fit(folder: Path, config: str, options: list[str]) -> None:
    run_trainer("fit", [f"--config={config}", f"--trainer.default_root_dir={folder}", *options])
