"""fit, validate, test and predict: Lightning's own command line around our modules."""

import signal
import sys
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from animelm.cli import COMMANDS
from animelm.cli.configs import find_configs
from animelm.cli.resume import check_checkpoint, how_to_go_on
from animelm.errors import UserError
from animelm.files import make_folder
from animelm.report.validation import print_validation
from animelm.train.module import AdaptedLM


class TrainerCLI(LightningCLI):
    """LightningCLI for ``AdaptedLM`` and any of our data modules.

    Args:
        arguments: a command and its options, or options alone.
        run: False parses and makes the objects, and runs nothing.

    Raises:
        ArgumentError: an option is not understood.
    """

    def __init__(self, arguments: list[str], run: bool = True) -> None:
        parser_kwargs: dict[str, Any] = {"prog": "python -m animelm", "exit_on_error": False}
        for name in self.subcommands():
            text = f"{COMMANDS[name][1]}. Any option can stand in the --config file."
            parser_kwargs[name] = {"description": text}
        super().__init__(
            AdaptedLM,
            args=arguments,
            run=run,
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
            parser_kwargs=parser_kwargs,
            # Lightning's takes each packed byte for one weight of four bytes; what is trained and
            # how much memory that takes is told by our own reports.
            trainer_defaults={"enable_model_summary": False},
        )

    def before_instantiate_classes(self) -> None:
        """Checks settings before the data are read and the model is loaded.

        Raises:
            UserError: the checkpoint is not there or not whole, or a setting has no meaning.
        """
        batches = self._get(self.config, "trainer.accumulate_grad_batches")
        if batches < 1:
            raise UserError(
                f"trainer.accumulate_grad_batches is {batches}; expected 1 or more batches"
            )
        path = self._get(self.config, "ckpt_path")
        if path:
            output = self._get(self.config, "trainer.default_root_dir") or "."
            check_checkpoint(str(path), Path(output))

    def before_fit(self) -> None:
        """Makes the run's folders, which would otherwise first be missed when all is done.

        Raises:
            UserError: one cannot be made.
        """
        make_folder(Path(self.trainer.default_root_dir), "--trainer.default_root_dir")
        for logger in self.trainer.loggers:
            folder = getattr(logger, "root_dir", None) or logger.save_dir
            if folder and "://" not in str(folder):
                make_folder(Path(folder), "trainer.logger's save_dir")

    before_validate = before_test = before_predict = before_fit

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs a Trainer method; an end by SIGTERM is told, with how to go on.

        Raises:
            SystemExit: with the status of a process that SIGTERM ended; Lightning's exception has
                none, which would count as success.
        """
        try:
            super()._run_subcommand(subcommand)
        except SIGTERMException as stop:
            if self.trainer.is_global_zero:
                message = f"{subcommand} was ended by SIGTERM"
                if subcommand == "fit":
                    given = self._get(self.config, "ckpt_path")
                    message = f"{message}; {how_to_go_on(self.trainer, given)}"
                print(message, file=sys.stderr)
            raise SystemExit(128 + signal.SIGTERM) from stop

    def after_validate(self) -> None:
        """Prints what was found."""
        if self.trainer.is_global_zero:
            print_validation({k: float(v) for k, v in self.trainer.callback_metrics.items()})

    after_test = after_validate


def run(command: str, arguments: list[str]) -> None:
    """Runs a Trainer method with the options of the command line."""
    # Lightning's own table would come once for each held-out set, its names cut short.
    quiet = ["--verbose=false"] if command in ("validate", "test") else []
    try:
        TrainerCLI([command, *quiet, *find_configs(arguments)])
    except MisconfigurationException as error:  # settings that Lightning cannot reconcile
        raise UserError(str(error)) from error
