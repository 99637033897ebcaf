"""Checkpoints that a fit goes on from: those it has written, and the one that is named."""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from animelm.errors import UserError

# Names that Lightning resolves itself: each looks in the new run's own folder, which is empty, or
# in a place that is not ours.
_LIGHTNINGS_WORDS = re.compile(r"(best|last|hpc|registry(:.*)?)\Z", re.IGNORECASE)
_PLACE = "version_*/checkpoints/*.ckpt"


def check_checkpoint(name: str, output: Path) -> None:
    """Looks whether a run can go on from a checkpoint, without reading its tensors.

    Args:
        name: what was given as ``--ckpt_path``.
        output: the run's folder, where earlier checkpoints are looked for.

    Raises:
        UserError: it is one of Lightning's words, no file, or no checkpoint that is whole.
    """
    path = Path(name)
    if _LIGHTNINGS_WORDS.match(name):
        raise UserError(f"--ckpt_path {name}: expected the file to go on from; {_newest(output)}")
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "no such file"
        raise UserError(
            f"--ckpt_path {name}: {problem}; expected a checkpoint (.ckpt); {_newest(output)}"
        )
    try:
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"--ckpt_path {name}: cannot be read as a checkpoint; was it cut short?"
        ) from error


def how_to_go_on(trainer: pl.Trainer, given: str | None) -> str:
    """One sentence for a run that was ended.

    Args:
        trainer: of that run.
        given: the checkpoint that it had gone on from itself.
    """
    written = [
        Path(path)
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint)
        for path in (callback.last_model_path, callback.best_model_path)
        if path
    ]
    latest = _latest(written) or (given and Path(given))
    if latest:
        return f"the same command with --ckpt_path {latest} goes on from its last checkpoint"
    return "it had written no checkpoint that --ckpt_path could go on from"


def _newest(output: Path) -> str:
    latest = _latest(list(output.glob(_PLACE)))
    return f"the newest is {latest}" if latest else f"there is none in {output}/{_PLACE}"


def _latest(paths: Sequence[Path]) -> Path | None:
    return max((p for p in paths if p.is_file()), key=lambda p: p.stat().st_mtime, default=None)
