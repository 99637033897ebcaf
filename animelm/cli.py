"""The command line: the one place that knows every room."""

import sys

from lightning.pytorch.cli import LightningCLI

from animelm.errors import UserError
from animelm.train.module import AdaptedLM


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; a user's mistake becomes one line on the error stream and status 2."""
    try:
        LightningCLI(AdaptedLM, args=arguments, save_config_kwargs={"overwrite": True})
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
