"""Messages of libraries that tell the user nothing to act on; everything else is shown."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # LightningCLI is called with a list because names of configs have been looked up in it.
    ("LightningCLI's args parameter", UserWarning),
    # Our loaders read mapped memory; worker processes would only copy it.
    (".*does not have many workers", UserWarning),
    # Lightning and PEFT use names that torch and transformers are about to give up.
    (".*LeafSpec", FutureWarning),
    (".*is_gradient_checkpointing", FutureWarning),
)
_LOG_LINES = (
    "litlogger",  # an advertisement
    "TPU available: False",
    "Loading `train_dataloader` to estimate",
)
_LOGGERS = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.trainer.connectors.logger_connector",
)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Inside, what the lists above name is not shown."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_tells_something)
    with warnings.catch_warnings():
        for message, category in _WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


def _tells_something(record: logging.LogRecord) -> bool:
    return not any(line in record.getMessage() for line in _LOG_LINES)
