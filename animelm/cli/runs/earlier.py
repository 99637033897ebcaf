"""What an earlier run has left in a folder is kept, and a run that never began leaves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning as L

from animelm.errors import UserError
from animelm.train.callbacks.adapter_checkpoint import AdapterCheckpoint

# What loggers and the command line write before a run begins.
_AT_THE_START = ("events.out.tfevents.*", "config.yaml", "hparams.yaml")


def require_no_adapter(trainer: L.Trainer) -> None:
    """Checks that a fit replaces no adapter.

    Raises:
        UserError: there is one where the fit would write its own.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    writers = [c for c in trainer.callbacks if isinstance(c, AdapterCheckpoint)]  # type: ignore[attr-defined]
    for folder in (writer.folder(trainer) for writer in writers):
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(
                f"{folder}: is there already, from an earlier run; name another folder with "
                "--output, go on with that run with --ckpt_path=last, or add --overwrite to "
                "replace the adapter"
            )


@contextmanager
def no_empty_log(trainer: L.Trainer, subcommand: str) -> Iterator[None]:
    """Deletes the log folder that the block has made if it ends with an error before any batch."""
    made = _missing_folders(trainer) if trainer.is_global_zero else []
    try:
        yield
    except BaseException:
        if trainer.is_global_zero and not _has_begun(trainer, subcommand):
            for logger in trainer.loggers:
                logger.finalize("failed")
            for folder in made:
                _delete(folder)
        raise


def _missing_folders(trainer: L.Trainer) -> list[Path]:
    """The log folders that are not there yet, then those that hold them."""
    found = [getattr(logger, "log_dir", None) for logger in trainer.loggers]
    logs = [Path(folder) for folder in found if folder]
    return [folder for log in logs for folder in (log, log.parent) if not folder.exists()]


def _has_begun(trainer: Any, subcommand: str) -> bool:
    loops = {
        "fit": trainer.fit_loop.epoch_loop,
        "validate": trainer.validate_loop,
        "test": trainer.test_loop,
        "predict": trainer.predict_loop,
    }
    return loops[subcommand].batch_progress.total.ready > 0


def _delete(folder: Path) -> None:
    """Deletes a log folder, unless it holds more than what is written before a run begins."""
    with suppress(OSError):
        for pattern in _AT_THE_START:
            for path in folder.glob(pattern):
                path.unlink()
        folder.rmdir()
