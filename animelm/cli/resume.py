"""Checkpoints that a fit resumes from."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from animelm.errors import UserError
from animelm.train.callbacks.stop_on_signal import StopOnSignal
from animelm.train.checkpoints.files import read_checkpoint, require_state_to_go_on

_LAST = "last"
# Keywords that Lightning would resolve itself: in the new run's own folder, which is empty, or
# where animelm writes nothing.
_KEYWORDS = re.compile(r"(best|last|hpc|registry(:.*)?)\Z", re.IGNORECASE)
_PATTERN = "version_*/checkpoints/*.ckpt"


@dataclass(frozen=True)
class ResumePoint:
    """Where a run goes on.

    Attributes:
        checkpoint: the file.
        step: optimizer steps that were taken before it was written.
    """

    checkpoint: Path
    step: int

    def lies_in(self, output: Path) -> bool:
        """Whether the checkpoint is one of the run whose folder this is."""
        return self.checkpoint.resolve().is_relative_to(output.resolve())

    def log_place(self, output: Path) -> dict[str, Any]:
        """Arguments of the logger that goes on where the earlier run has logged.

        They are empty for a checkpoint that lies elsewhere. The run's later checkpoints then
        replace the earlier ones, however often it is resumed.

        Args:
            output: the run's folder.
        """
        place = re.fullmatch(r"version_(\d+)", self.checkpoint.parent.parent.name)
        if place and self.checkpoint.resolve().parents[2] == output.resolve():
            # What was logged after the checkpoint will be logged again. Figures of its own step,
            # such as a validation's, will not.
            return {"version": int(place[1]), "purge_step": self.step + 1}
        return {}


def check_checkpoint(name: str, output: Path, trains: bool = True) -> ResumePoint:
    """Checks that a run can resume from a checkpoint, before the base is loaded.

    Args:
        name: value of ``--ckpt_path``; last means the newest checkpoint in ``output``.
        output: the run's folder, in which earlier checkpoints are searched.
        trains: whether the run goes on training, or only takes the weights.

    Raises:
        UserError: it is another of Lightning's keywords, no file, or no intact checkpoint.
    """
    latest = _latest(list(output.glob(_PATTERN))) if name.lower() == _LAST else None
    path = latest or Path(name)
    if latest is None and _KEYWORDS.match(name):
        raise UserError(
            f"--ckpt_path {name}: expected the path of a checkpoint, or last; {_newest(output)}"
        )
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "no such file"
        raise UserError(
            f"--ckpt_path {name}: {problem}; expected a checkpoint (.ckpt); {_newest(output)}"
        )
    content = read_checkpoint(path, mapped=True)
    if trains:
        require_state_to_go_on(path, content)
    return ResumePoint(path, content.get("global_step", 0))


def how_to_resume(trainer: pl.Trainer, given: str | None, arguments: Sequence[str]) -> str:
    """A sentence for a fit that was interrupted, with the command that goes on.

    Args:
        trainer: of that run.
        given: the checkpoint that this run itself was resumed from.
        arguments: of the command line, after ``fit``.
    """
    latest = latest_checkpoint(trainer) or (Path(given) if given else None)
    if latest is None:
        return "it had not written a checkpoint yet, so it cannot be resumed"
    options = [*without_options(arguments, ("--ckpt_path", "--overwrite")), f"--ckpt_path={latest}"]
    if not ResumePoint(latest, 0).lies_in(Path(trainer.default_root_dir)):
        options.append("--overwrite")  # of the adapter that the run itself may have written
    return f"go on with\n  {shlex.join(['python', '-m', 'animelm', 'fit', *options])}"


def latest_checkpoint(trainer: pl.Trainer) -> Path | None:
    """The newest checkpoint that a fit has written; None if there is none."""
    written = [
        Path(path)
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint)
        for path in (callback.last_model_path, callback.best_model_path)
        if path
    ]
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    at_signal = [c.saved for c in callbacks if isinstance(c, StopOnSignal) and c.saved]
    return _latest([*written, *at_signal])


def without_options(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """The arguments without some options and their values.

    Args:
        arguments: of the command line.
        names: of the options, such as ``--ckpt_path``.
    """
    kept: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument.partition("=")[0] not in names:
            kept.append(argument)
        elif "=" not in argument and rest and not rest[0].startswith("-"):
            del rest[0]
    return kept


def _newest(output: Path) -> str:
    latest = _latest(list(output.glob(_PATTERN)))
    return f"the newest is {latest}" if latest else f"there is none in {output}/{_PATTERN}"


def _latest(paths: Sequence[Path]) -> Path | None:
    return max((p for p in paths if p.is_file()), key=lambda p: p.stat().st_mtime, default=None)
