"""fit, validate, test and predict: Lightning's own command line around our modules."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from animelm.cli import COMMANDS
from animelm.cli.configs import find_configs
from animelm.cli.given_settings import check_given_settings
from animelm.cli.resume import ResumePoint, check_checkpoint, how_to_resume
from animelm.data.datamodules import DomainDataModule
from animelm.errors import UserError
from animelm.files import make_folder
from animelm.locks import clear_leftovers, folder_lock
from animelm.report.validation import print_validation
from animelm.terminal import say
from animelm.train.adapter_record import adopted_split
from animelm.train.callbacks.defaults import (
    CheckpointSettings,
    Periods,
    with_default_callbacks,
)
from animelm.train.module import AdaptedLM
from animelm.train.stop_signals import StoppedBySignal, StopSignals

_TRAINER_DEFAULTS = {
    "devices": 1,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 5,
    "num_sanity_val_steps": 0,
    # Lightning's summary takes each packed byte for a weight of four bytes. Our own reports say
    # what is trained and how much memory it takes.
    "enable_model_summary": False,
}
# A config may name the classes of these packages.
_OWN_PACKAGES = ("animelm", "lightning", "torch")
# In the messages of gloo and NCCL, which are plain RuntimeErrors.
_LOST_PROCESS = re.compile(r"gloo|nccl|connection (closed|reset)|timed out|timeout", re.IGNORECASE)


class TrainerCLI(LightningCLI):
    """LightningCLI for ``AdaptedLM`` and any data module.

    Args:
        arguments: a command and its options, or options alone.
        run: False only parses and makes the objects.
        given: the options as the user has given them, for the command that goes on.

    Raises:
        ArgumentError: an option is unknown or has a wrong value.
        UserError: as ``check_given_settings``.
    """

    def __init__(self, arguments: list[str], run: bool = True, given: Sequence[str] = ()) -> None:
        self._signals, self._given = StopSignals(), given
        self._resumed: ResumePoint | None = None
        parser_kwargs: dict[str, Any] = {"prog": "python -m animelm", "exit_on_error": False}
        for name in self.subcommands():
            text = f"{COMMANDS[name][1]}. Every option can also be set in the --config file."
            parser_kwargs[name] = {"description": text}
        packages = check_given_settings(arguments)
        # A class in a config is code. The parser refuses others, where they are defined as well.
        set_parsing_settings(
            import_path_denylist=["*"], import_path_allowlist=[*_OWN_PACKAGES, *packages]
        )
        super().__init__(
            AdaptedLM,
            args=arguments,
            run=run,
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
            parser_kwargs=parser_kwargs,
            seed_everything_default=0,
            trainer_defaults=_TRAINER_DEFAULTS,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the periods of the default callbacks, and links the data module's base."""
        parser.link_arguments("model.base", "data.init_args.base")
        parser.add_class_arguments(Periods, "every_n_steps")
        parser.add_class_arguments(CheckpointSettings, "checkpoints")
        parser.add_argument(
            "--include",
            type=list[str] | str | None,
            help="Only in a config file: name of a config, or names, on which it is layered.",
        )
        parser.add_argument(
            "--allow_classes_from",
            type=list[str] | str | None,
            help="Only on the command line: further packages whose classes a config may name with "
            f"class_path, beside {', '.join(_OWN_PACKAGES)}. Naming a class runs its code.",
        )

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """The trainer, with the default callbacks and a logger in the output folder.

        ``with_default_callbacks`` says what becomes of the config's own callbacks. A config's own
        logger is used instead of the default one, which goes on in the folder of a resumed run.
        """
        given = self._get(self.config_init, "trainer")
        callbacks = given.callbacks or []
        root, logger = given.default_root_dir, given.logger
        if root and logger in (None, True):
            place = self._resumed.log_place(Path(root)) if self._resumed else {}
            logger = TensorBoardLogger(root, name="", **place)
        own = self.config.get(str(self.subcommand), self.config)
        if "ckpt_path" in own:
            # Whoever repeats the run from the config that it saves begins at its start.
            own["ckpt_path"] = None
        return super().instantiate_trainer(
            callbacks=with_default_callbacks(
                callbacks if isinstance(callbacks, list) else [callbacks],
                self._get(self.config_init, "every_n_steps"),
                self._get(self.config_init, "checkpoints"),
                progress_bar=given.enable_progress_bar is not False,
                checkpointing=given.enable_checkpointing is not False,
                signals=self._signals,
            ),
            logger=logger,
            **kwargs,
        )

    def before_instantiate_classes(self) -> None:
        """Checks settings before the data are read and the model is loaded.

        Raises:
            UserError: the checkpoint is missing or incomplete, or a setting is out of range.
        """
        # The included files have been layered; a saved config holds their settings itself, and
        # cannot allow anything.
        own = self.config.get(str(self.subcommand), self.config)
        own["include"] = own["allow_classes_from"] = None
        batches = self._get(self.config, "trainer.accumulate_grad_batches")
        if batches < 1:
            raise UserError(
                f"trainer.accumulate_grad_batches is {batches}; expected 1 or more batches"
            )
        path = self._get(self.config, "ckpt_path")
        if path:
            output = self._get(self.config, "trainer.default_root_dir") or "."
            trains = self.subcommand == "fit"
            self._resumed = check_checkpoint(str(path), Path(output), trains)

    def _parse_ckpt_path(self) -> None:
        """Does nothing: Lightning would take settings from the checkpoint's hyper-parameters."""

    def before_fit(self) -> None:
        """Makes the run's folders, so that a wrong path ends the run before it trains.

        The split of the data is that of the adapter that the run loads, unless it is given.

        Raises:
            UserError: one cannot be made.
        """
        if isinstance(self.datamodule, DomainDataModule):
            trains = self.subcommand == "fit"
            self.datamodule.adopt_split(adopted_split(self.model.settings, trains))
        make_folder(Path(self.trainer.default_root_dir), "--trainer.default_root_dir")
        for logger in self.trainer.loggers:
            folder = getattr(logger, "root_dir", None) or logger.save_dir
            if folder and "://" not in str(folder):
                make_folder(Path(folder), "trainer.logger's save_dir")

    before_validate = before_test = before_predict = before_fit

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs a Trainer method; after a signal a message says how to go on.

        Raises:
            StoppedBySignal: after Ctrl-C, SIGTERM or SIGUSR1, with its exit status.
            UserError: another process of the run has ended, or does not answer.
        """
        try:
            with self._output_lock(subcommand), self._signals:
                super()._run_subcommand(subcommand)
        except StoppedBySignal as stop:
            if self.trainer.is_global_zero:
                message = f"{subcommand} was ended by {stop.signal.name}"
                if subcommand == "fit":
                    given = self._get(self.config_init, "ckpt_path")
                    message = f"{message}; {how_to_resume(self.trainer, given, self._given)}"
                say(message, sys.stderr)
            raise
        except OSError as error:
            # Such as TensorBoard's writer on a full disk, whose errors name no file.
            if error.errno is None:
                raise
            where = error.filename or self.trainer.log_dir or self.trainer.default_root_dir
            if isinstance(error, BrokenPipeError):
                where = "nobody reads what is printed"
            message = f"{where}: {error.strerror or error}"
            if subcommand == "fit":
                given = self._get(self.config_init, "ckpt_path")
                message = f"{message}; {how_to_resume(self.trainer, given, self._given)}"
            raise UserError(message) from error
        except RuntimeError as error:
            if self.trainer.world_size == 1 or not _LOST_PROCESS.search(str(error)):
                raise
            given = self._get(self.config_init, "ckpt_path")
            raise UserError(
                f"another process has ended, or has not answered in time ({error!s:.200}); "
                f"{how_to_resume(self.trainer, given, self._given)}"
            ) from error

    @contextmanager
    def _output_lock(self, subcommand: str) -> Iterator[None]:
        """Keeps a second fit out of the folder, and clears away what a killed one left there."""
        if subcommand != "fit" or not self.trainer.is_global_zero:
            yield
            return
        output = Path(self.trainer.default_root_dir)
        with folder_lock(output, "--trainer.default_root_dir"):
            for folder in (output, *output.glob("version_*/checkpoints")):
                clear_leftovers(folder)
            yield

    def after_validate(self) -> None:
        """Prints scores and perplexities."""
        if self.trainer.is_global_zero:
            print_validation({k: float(v) for k, v in self.trainer.callback_metrics.items()})

    after_test = after_validate


def run(command: str, arguments: list[str]) -> None:
    """Runs a Trainer method with the options of the command line."""
    # Lightning's own table would be printed once per held-out set, with truncated names.
    quiet = ["--verbose=false"] if command in ("validate", "test") else []
    try:
        TrainerCLI([command, *quiet, *find_configs(arguments)], given=arguments)
    except MisconfigurationException as error:  # settings that exclude each other
        raise UserError(str(error)) from error
