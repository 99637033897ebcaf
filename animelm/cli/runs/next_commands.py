"""What a fit has written, and the commands that use it, as they are typed in a shell."""

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import lightning as L

from animelm.cli.resume import latest_checkpoint, without_options
from animelm.data.datamodules import DomainDataModule
from animelm.data.sources.folder_files import WeightedFolder
from animelm.data.sources.qa import QuestionFile
from animelm.terminal import say
from animelm.train.callbacks.adapter_checkpoint import AdapterCheckpoint
from animelm.train.module import AdaptedLM

_PROGRAM = ("python", "-m", "animelm")
# Options of fit that the other commands do not share.
_OF_FIT = ("--ckpt_path", "--overwrite")


def say_result(
    trainer: L.Trainer,
    model: AdaptedLM,
    datamodule: L.LightningDataModule | None,
    given: Sequence[str],
) -> None:
    """Prints the paths of the adapter and of the last checkpoint, and what to do next.

    Args:
        trainer: that has fitted.
        model: that was fitted.
        datamodule: its data.
        given: the options of the fit.
    """
    writers = [c for c in trainer.callbacks if isinstance(c, AdapterCheckpoint)]  # type: ignore[attr-defined]
    if trainer.fast_dev_run or not writers:  # type: ignore[attr-defined]
        return
    adapter = writers[-1].folder(trainer)
    whole = model.settings.from_scratch
    say(f"{'Weights' if whole else 'Adapter'}: {adapter}")
    if checkpoint := latest_checkpoint(trainer):
        say(f"Last checkpoint: {_short(checkpoint)}")
    if not whole:
        say("Next:")
        for command in next_commands(model, datamodule, adapter, given):
            say(f"  {shlex.join([*_PROGRAM, *command])}")


def next_commands(
    model: AdaptedLM,
    datamodule: L.LightningDataModule | None,
    adapter: Path,
    given: Sequence[str],
) -> list[list[str]]:
    """The commands that evaluate, compare, ask and report an adapter, each as its words.

    Args:
        model: that was trained.
        datamodule: its data.
        adapter: folder of the adapter.
        given: the options of the fit.
    """
    settings = model.settings
    weights = [f"--base={settings.base}", f"--quantization={settings.quantization}"]
    typed = f"--compute_type={settings.compute.dtype}"
    evaluated = settings.adapter.evaluate
    own = evaluated is not None and evaluated.resolve() == adapter.resolve()
    commands = []
    if getattr(datamodule, "validation_names", True):
        named = [] if own else [f"--model.adapter.evaluate={adapter}"]
        commands.append(["validate", *without_options(given, _OF_FIT), *named])
    if isinstance(datamodule, DomainDataModule) and datamodule.paths.questions:
        compared = [*weights, typed, *_adapters(model, adapter), *_data(datamodule)]
        longest = f"--max_new_tokens={model.generation.max_new_tokens}"
        output = f"--output={adapter.parent / 'compare'}"
        commands.append(["compare", *compared, longest, output])
    commands.append(["ask", *weights, typed, f"--adapter={adapter}"])
    commands.append(["report", str(adapter.parent)])
    return commands


def _adapters(model: AdaptedLM, adapter: Path) -> list[str]:
    """How ``compare`` is told of an adapter and of the one that it began from."""
    start = model.settings.adapter.init_from
    if model.step_name == "sft" and start is not None:
        return [f"--cpt_adapter={start}", f"--sft_adapter={adapter}"]
    if model.step_name == "sft":
        return [f"--sft_only_adapter={adapter}"]
    if model.step_name == "cpt" and start is None:
        return [f"--cpt_adapter={adapter}"]
    return [f"--models={json.dumps({'base': None, model.step_name: str(adapter)})}"]


def _data(datamodule: DomainDataModule) -> Iterable[str]:
    paths = datamodule.paths
    sources: dict[str, Sequence[WeightedFolder | QuestionFile]] = {
        "records": paths.questions,
        "general_records": paths.general_questions,
        "articles": paths.articles,
        "general_articles": paths.general_articles,
    }
    for name, given in sources.items():
        if given:
            # How often a source is shown in training is nothing to a comparison.
            shown = [str(_short(source.path)) for source in given]
            yield f"--{name}={shown[0] if len(shown) == 1 else json.dumps(shown)}"
    for name, column in paths.columns.named.items():
        yield f"--columns.{name}={column}"
    if datamodule.questions_per_set is not None:
        yield f"--questions_per_set={datamodule.questions_per_set}"
    yield f"--block_size={datamodule.block_size}"


def _short(path: Path) -> Path:
    """A path as it is named from the working directory, if it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
