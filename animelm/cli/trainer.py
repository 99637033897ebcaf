"""fit, validate, test and predict: Lightning's own command line around our modules."""

from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningCLI

from animelm.cli import COMMANDS
from animelm.cli.configs import find_configs
from animelm.errors import UserError
from animelm.report.validation import print_validation
from animelm.train.module import AdaptedLM

# Names that Lightning resolves itself.
_CHECKPOINT_WORDS = ("best", "last", "hpc", "registry")


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
        """Looks for the checkpoint before the data are read and the model is loaded.

        Raises:
            UserError: there is no such checkpoint.
        """
        path = self._get(self.config, "ckpt_path")
        if path and not str(path).startswith(_CHECKPOINT_WORDS) and not Path(path).exists():
            raise UserError(f"--ckpt_path {path}: no such file; expected a checkpoint (.ckpt)")

    def before_fit(self) -> None:
        """Makes the output folder, which would otherwise first be missed when all is trained.

        Raises:
            UserError: it cannot be made.
        """
        folder = Path(self.trainer.default_root_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--trainer.default_root_dir {folder}: cannot be made: {error.strerror}"
            ) from error

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
