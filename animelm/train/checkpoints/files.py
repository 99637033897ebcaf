"""Checkpoint files that are written completely or not at all, and read only if they are intact."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from packaging.version import InvalidVersion, Version

from animelm.errors import UserError
from animelm.files import whole_file
from animelm.train.checkpoints.seal import require_intact, seal

# What Lightning restores, with its type: of weights alone, and of a run that goes on.
_ALWAYS: dict[str, type] = {"state_dict": dict, "pytorch-lightning_version": str}
_TO_GO_ON: dict[str, type] = {
    "epoch": int,
    "global_step": int,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
}

_COUNTS = ("ready", "started", "processed", "completed")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file beside the target, and renames it once it is on the disk.

    Lightning writes into the system's temporary folder and copies, which is not atomic if that is
    on another file system; it also holds all bytes in memory first. URLs such as s3://… are left
    to Lightning.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes ``checkpoint`` to ``path`` with a checksum, replacing an earlier file.

        Raises:
            UserError: it cannot be written; an earlier file of that name is unchanged.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as partial:
                with partial.open("wb") as file:
                    torch.save(checkpoint, file)
                seal(partial)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
            raise UserError(f"{target}: the checkpoint cannot be written ({error})") from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint onto the CPU; whatever is asked for, no code is loaded.

        Raises:
            UserError: as ``read_checkpoint``.
        """
        if "://" in str(path):
            return super().load_checkpoint(path, map_location, weights_only=True)
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """The content of a checkpoint file, once its checksum has been found right.

    Args:
        path: the file.
        mapped: tensors are mapped from the file instead of read, for a look at the rest.

    Raises:
        UserError: it is damaged, incomplete, or no checkpoint.
    """
    require_intact(path)
    try:
        content = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    # A pickle that somebody has written on purpose can fail in any way.
    except Exception as error:
        raise UserError(
            f"{path}: cannot be read as a checkpoint ({type(error).__name__}); expected a file "
            "that a fit has written"
        ) from error
    _require_keys(path, content, _ALWAYS)
    try:
        Version(content["pytorch-lightning_version"])
    except InvalidVersion as error:
        raise UserError(f"{path}: pytorch-lightning_version is no version") from error
    return content


def require_state_to_go_on(path: Path, content: dict[str, Any]) -> None:
    """Checks that a checkpoint holds more than weights.

    Raises:
        UserError: what a run needs to go on is missing.
    """
    _require_keys(path, content, _TO_GO_ON)
    _require_keys(path, content["loops"], {"fit_loop": dict})
    loop = content["loops"]["fit_loop"]
    for name in ("epoch_progress", "epoch_loop.batch_progress"):
        _require_keys(path, loop, {name: dict})
        _require_keys(path, loop[name], {"current": dict, "total": dict})
        _require_keys(path, loop[name]["current"], dict.fromkeys(_COUNTS, int))
        _require_keys(path, loop[name]["total"], dict.fromkeys(_COUNTS, int))


def _require_keys(path: Path, content: Any, expected: dict[str, type]) -> None:
    for name, kind in expected.items():
        if not isinstance(content, dict) or not isinstance(content.get(name), kind):
            raise UserError(
                f"{path}: holds no {name}; expected a checkpoint that a fit has written, with the "
                "state of its optimizer and data"
            )
