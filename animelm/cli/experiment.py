"""demo and reproduce: CPT, SFT and comparison in one go."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import yaml
from jsonargparse import auto_cli
from rich.console import Console

from animelm.cli.comparison import compare_and_print
from animelm.cli.configs import find_configs
from animelm.cli.trainer import run as run_trainer
from animelm.evaluate.settings import CompareSettings
from animelm.sample.writer import GENERATED, write_sample

# Two passes over the questions are enough for the demo's 36 works; of 238 works they left two facts
# in five unlearned. General answers suffer while the rate is high, and come back as it falls.
_MORE_PASSES = ["--trainer.max_epochs=4", "--data.replay_share=0.25"]


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``demo`` or ``reproduce`` and runs it."""
    function = demo if command == "demo" else reproduce
    auto_cli(function, args=arguments, prog=f"python -m animelm {command}")


def demo(output: Path = Path("runs/demo")) -> None:
    """CPT, SFT and comparison on the project's sample: 48 works, a quarter never asked about.

    Args:
        output: Folder for adapters, logs and results; an earlier demo in it is replaced.
    """
    shutil.rmtree(output, ignore_errors=True)
    _experiment(output, GENERATED, questions_per_set=300, fine_tuning=[])


def reproduce(output: Path = Path("runs/reproduce"), works: int | None = None) -> None:
    """The same on the whole sample (318 works), asking every held-out question.

    Args:
        output: Folder for the sample, adapters, logs and results; what is in it is replaced.
        works: Only so many works; null takes all of the table.
    """
    shutil.rmtree(output, ignore_errors=True)
    write_sample(output / "sample", works)
    _experiment(output, output / "sample", questions_per_set=None, fine_tuning=_MORE_PASSES)


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
            f"--model.init_adapter={output / 'cpt' / 'adapter'}",
            f"--data.records={anime / 'qa.jsonl'}",
            f"--data.replay_records={general / 'qa.jsonl'}",
            *fine_tuning,
        ],
    )
    console.rule("3 of 3: what was learned, what was lost")
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
    own_folders = [
        f"--trainer.default_root_dir={folder}",
        f"--trainer.logger.init_args.save_dir={folder.parent}",
    ]
    run_trainer("fit", [f"--config={config}", *own_folders, *options])
