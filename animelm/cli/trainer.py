"""fit, validate, test and predict: Lightning's own command line around our modules."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace, set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from animelm.cli import COMMANDS
from animelm.cli.configs import find_configs
from animelm.cli.given_settings import check_given_settings, given_settings
from animelm.cli.resume import ResumePoint, check_checkpoint, how_to_resume
from animelm.cli.runs.arguments import (
    OWN_PACKAGES,
    add_callback_arguments,
    add_run_arguments,
    asks_for_help,
    data_module_class,
    word_sections,
)
from animelm.cli.runs.earlier import no_empty_log, require_no_adapter
from animelm.cli.runs.mistakes import lightnings_refusals, require_other_batches
from animelm.cli.runs.next_commands import say_result
from animelm.cli.runs.output import given_output
from animelm.data.datamodules import DomainDataModule
from animelm.errors import UserError
from animelm.files import make_folder
from animelm.locks import clear_leftovers, folder_lock
from animelm.report.validation import print_validation
from animelm.terminal import say
from animelm.train.adapter_record import adopted_split
from animelm.train.callbacks.defaults import (
    with_default_callbacks,
)
from animelm.train.loggers.tensorboard import RunTensorBoard
from animelm.train.module import AdaptedLM
from animelm.train.stop_signals import StoppedBySignal, StopSignals

_TRAINER_DEFAULTS = {
    "devices": 1,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 5,
    # All of the validation, before training: the base's figures, as step 0 of the log.
    "num_sanity_val_steps": -1,
    # Lightning's summary takes each packed byte for a weight of four bytes. Our own reports say
    # what is trained and how much memory it takes.
    "enable_model_summary": False,
}
# In the messages of gloo and NCCL, which are plain RuntimeErrors.
_LOST_PROCESS = re.compile(r"gloo|nccl|connection (closed|reset)|timed out|timeout", re.IGNORECASE)


class TrainerCLI(LightningCLI):
    """LightningCLI for ``AdaptedLM`` and any data module.

    Args:
        arguments: a command and its options, or options alone.
        run: False only parses and makes the objects.
        given: the options as the user has given them, for the commands that go on.
        shows_next: whether a fit names at its end what can be done with its result.

    Raises:
        ArgumentError: an option is unknown or has a wrong value.
        UserError: as ``check_given_settings``.
    """

    def __init__(
        self,
        arguments: list[str],
        run: bool = True,
        given: Sequence[str] = (),
        shows_next: bool = False,
    ) -> None:
        self._signals, self._given, self._shows_next = StopSignals(), given, shows_next
        self._resumed: ResumePoint | None = None
        self._overwrite = False
        parser_kwargs: dict[str, Any] = {"prog": "python -m animelm", "exit_on_error": False}
        for name in self.subcommands():
            text = f"{COMMANDS[name][1]}. Every option can also be set in the --config file."
            usage = f"python -m animelm {name} [--config FILE] [OPTIONS]"
            parser_kwargs[name] = {"description": text, "usage": usage}
        packages = check_given_settings(arguments)
        settings = list(given_settings(arguments))
        self._output = given_output(settings)
        listed = asks_for_help(arguments)
        # A class in a config is code. The parser refuses others, where they are defined as well.
        set_parsing_settings(
            import_path_denylist=["*"], import_path_allowlist=[*OWN_PACKAGES, *packages]
        )
        super().__init__(
            AdaptedLM,
            # To be listed, the options of a data module need its class, which a config names.
            data_module_class(settings) if listed else None,
            args=[*arguments[:run], "--help"] if listed else arguments,
            run=run,
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
            parser_kwargs=parser_kwargs,
            seed_everything_default=0,
            trainer_defaults=_TRAINER_DEFAULTS,
        )

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the settings of run, model, data and trainer, in this order."""
        add_run_arguments(parser)
        parser.add_lightning_class_args(AdaptedLM, "model")
        if self.datamodule_class is None:
            data = {"subclass_mode": True, "required": False}
            parser.add_lightning_class_args(L.LightningDataModule, "data", **data)
            parser.link_arguments("model.base", "data.init_args.base")
        else:
            parser.add_lightning_class_args(self.datamodule_class, "data", subclass_mode=False)
            parser.link_arguments("model.base", "data.base")
        add_callback_arguments(parser)
        parser.add_lightning_class_args(L.Trainer, "trainer")
        defaults = {f"trainer.{name}": value for name, value in _TRAINER_DEFAULTS.items()}
        parser.set_defaults(defaults)

    def setup_parser(self, *arguments: Any) -> None:
        """The parser, with titles of its sections."""
        super().setup_parser(*arguments)
        for parser in getattr(self, "_subcommand_parsers", {}).values():
            word_sections(parser)

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
            logger = RunTensorBoard(root, name="", **place)
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
        # A saved config must not replace the adapter of the run that saved it.
        self._overwrite, own["overwrite"] = own["overwrite"], False
        self._name_output(own)
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
            own["ckpt_path"] = str(self._resumed.checkpoint)

    def _name_output(self, own: Namespace) -> None:
        """Gives the run's folder to the trainer, and the adapter in it to what evaluates."""
        folder = own[self._output.key] if self._output.key else None
        own["trainer.default_root_dir"] = None if folder is None else str(folder)
        own["output"] = None if folder is None else Path(folder)
        # A checkpoint brings all weights; the run that wrote it may have no adapter yet.
        from_checkpoint = self.subcommand != "fit" and own.get("ckpt_path")
        if folder and self._output.own_adapter and not own["model.from_scratch"]:
            own["model.adapter.evaluate"] = None if from_checkpoint else Path(folder) / "adapter"

    def _parse_ckpt_path(self) -> None:
        """Does nothing: Lightning would take settings from the checkpoint's hyper-parameters."""

    def before_fit(self) -> None:
        """Makes the run's folders, so that a wrong path ends the run before it trains.

        The split of the data is that of the adapter that the run loads, unless it is given.

        Raises:
            UserError: one cannot be made, or an earlier adapter would be replaced.
        """
        if isinstance(self.datamodule, DomainDataModule):
            trains = self.subcommand == "fit"
            self.datamodule.adopt_split(adopted_split(self.model.settings, trains))
        output = Path(self.trainer.default_root_dir)
        make_folder(output, "--output")
        require_other_batches(self.trainer)
        if self.subcommand == "fit" and not self._overwrite:
            goes_on = self._resumed is not None and self._resumed.lies_in(output)
            if not goes_on:
                require_no_adapter(self.trainer)
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
            with (
                self._output_lock(subcommand),
                no_empty_log(self.trainer, subcommand),
                lightnings_refusals(),
                self._signals,
            ):
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
        with folder_lock(output, "--output"):
            for folder in (output, *output.glob("version_*/checkpoints")):
                clear_leftovers(folder)
            yield

    def after_fit(self) -> None:
        """Names what was written, and the commands that use it."""
        if self._shows_next and self.trainer.is_global_zero:
            say_result(self.trainer, self.model, self.datamodule, self._given)

    def after_validate(self) -> None:
        """Prints scores and perplexities."""
        if self.trainer.is_global_zero:
            print_validation({k: float(v) for k, v in self.trainer.callback_metrics.items()})

    after_test = after_validate


def run(command: str, arguments: list[str], shows_next: bool = True) -> None:
    """Runs a Trainer method with the options of the command line.

    Args:
        command: name of the method.
        arguments: its options.
        shows_next: whether a fit names at its end what can be done with its result.
    """
    # Lightning's own table would be printed once per held-out set, with truncated names.
    quiet = ["--verbose=false"] if command in ("validate", "test") else []
    try:
        TrainerCLI([command, *quiet, *find_configs(arguments)], True, arguments, shows_next)
    except MisconfigurationException as error:  # settings that exclude each other
        raise UserError(str(error)) from error
