"""fit, validate, test and predict: Lightning's own command line around our modules."""

import warnings

from lightning.pytorch.cli import LightningCLI

from animelm.cli.configs import find_configs
from animelm.train.module import AdaptedLM


class TrainerCLI(LightningCLI):
    """LightningCLI for ``AdaptedLM`` and any of our data modules."""

    def __init__(self, arguments: list[str], run: bool = True) -> None:
        super().__init__(
            AdaptedLM,
            args=arguments,
            run=run,
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
            parser_kwargs={"prog": "python -m animelm"},
        )


def run(command: str, arguments: list[str]) -> None:
    """Runs a Trainer method with the options of the command line."""
    with warnings.catch_warnings():
        # Called with a list on purpose: names of configs have been looked up in it.
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        # Loaders read mapped memory; worker processes would only copy it.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        TrainerCLI([command, *find_configs(arguments)])
