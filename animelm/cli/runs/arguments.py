"""The options of fit, validate, test and predict beside those of model, data and trainer."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
from jsonargparse import SUPPRESS
from lightning.pytorch.cli import LightningArgumentParser

from animelm.cli.given_settings import GivenSetting
from animelm.data import datamodules
from animelm.data.datamodules import DomainDataModule
from animelm.train.callbacks.defaults import CheckpointSettings, Periods

# A config may name the classes of these packages.
OWN_PACKAGES = ("animelm", "lightning", "torch")
_CHECKPOINT = (
    "Checkpoint (.ckpt): fit goes on from it, the others load its weights. last: the newest one in "
    "the folder of the run."
)
# By the key of a section; Lightning would take the first line of a docstring.
_TITLES = {
    "model": "Model (model.*)",
    "model.lora": "LoRA: shape and targets of the adapter (model.lora.*)",
    "model.adapter": "Earlier adapters (model.adapter.*)",
    "model.optimizer": "Optimizer and learning rate (model.optimizer.*)",
    "model.memory": "Memory (model.memory.*)",
    "model.compute": "Computing (model.compute.*)",
    "model.generation": "Answers in validation (model.generation.*)",
    "data": "Data (data.*)",
    "data.columns": "Data: names of columns (data.columns.*)",
    "data.shares": "Data: shares of an epoch (data.shares.*)",
    "every_n_steps": "Periods of the default callbacks (every_n_steps.*)",
    "checkpoints": "Checkpoints beside those at the end of each epoch (checkpoints.*)",
    "trainer": "Lightning's Trainer (trainer.*)",
}


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether the options of a command are to be listed."""
    return any(argument in ("-h", "--help") for argument in arguments)


def data_module_class(settings: Sequence[GivenSetting]) -> type[L.LightningDataModule]:
    """Our data module whose options ``--help`` lists: the configured one, or the usual one."""
    for setting in reversed(settings):
        if setting.key in ("data", "data.class_path"):
            name = str(setting.value).rpartition(".")[2]
            found = getattr(datamodules, name, None)
            if isinstance(found, type) and issubclass(found, L.LightningDataModule):
                return found
    return DomainDataModule


def add_run_arguments(parser: LightningArgumentParser) -> None:
    """Adds the options of the run's folder, and those that decide what a config may do."""
    parser.add_argument(
        "--output",
        type=Path | None,
        help="Folder of the run: its adapter, logs and checkpoints. validate, test and predict "
        "load the adapter in it. The same as trainer.default_root_dir; the one that is given last "
        "counts.",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="Let fit replace the adapter of an earlier run in the folder.",
    )
    parser.add_argument(
        "--include",
        type=list[str] | str | None,
        help="Only in a config file: name of a config, or names, on which it is layered.",
    )
    parser.add_argument(
        "--allow_classes_from",
        type=list[str] | str | None,
        help="Only on the command line: further packages whose classes a config may name with "
        f"class_path, beside {', '.join(OWN_PACKAGES)}. Naming a class runs its code.",
    )


def add_callback_arguments(parser: LightningArgumentParser) -> None:
    """Adds the options of the default callbacks."""
    parser.add_class_arguments(Periods, "every_n_steps")
    parser.add_class_arguments(CheckpointSettings, "checkpoints")


def word_sections(parser: LightningArgumentParser) -> None:
    """Gives the sections of ``--help`` their titles, and says what ``--ckpt_path`` takes."""
    for key, group in (parser.groups or {}).items():
        group.title = _TITLES.get(key, group.title)
    for action in parser._actions:
        if action.dest == "ckpt_path":
            action.help = _CHECKPOINT
        elif action.dest == "weights_only":
            # A checkpoint is always read without running code.
            action.help = SUPPRESS
    for group in parser._action_groups:
        if any(action.dest == "ckpt_path" for action in group._group_actions):
            group.title = "Checkpoint to go on from"
