"""Hides messages of libraries that a user can do nothing about."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # LightningCLI is called with a list, because the names of configs in it have been replaced.
    ("LightningCLI's args parameter", UserWarning),
    # The loaders read mapped memory, which worker processes would only copy.
    (".*does not have many workers", UserWarning),
    # A run that goes on writes into the folder that it began.
    ("Checkpoint directory .* exists and is not empty", UserWarning),
    # predict writes each answer with its question, and needs no numbers of batches.
    ("Couldn't infer the batch indices", UserWarning),
    # Lightning and PEFT use names that torch and transformers have deprecated.
    (".*LeafSpec", FutureWarning),
    (".*is_gradient_checkpointing", FutureWarning),
)
_LOG_LINES = (
    "litlogger",  # an advertisement
    "TPU available: False",
    "Loading `train_dataloader` to estimate",
    # On saving a checkpoint; ours are always read without running code.
    "`weights_only` was not set",
    "Detected out of order event.step",  # what a resumed run logged again
)
_LOGGERS = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.trainer.connectors.checkpoint_connector",
    "lightning.pytorch.trainer.connectors.logger_connector",
    "tensorboard",
)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hides the messages that the lists above name, for as long as the context lasts."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_shown)
    with warnings.catch_warnings():
        for message, category in _WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


def _is_shown(record: logging.LogRecord) -> bool:
    return not any(line in record.getMessage() for line in _LOG_LINES)
