"""Checkpoint files that are written completely or not at all."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from animelm.errors import UserError
from animelm.files import whole_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file beside the target, and renames it once it is on the disk.

    Lightning writes into the system's temporary folder and copies, which is not atomic if that is
    on another file system; it also holds all bytes in memory first. URLs such as s3://… are left
    to Lightning.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes ``checkpoint`` to ``path``, replacing an earlier file.

        Raises:
            UserError: it cannot be written; an earlier file of that name is unchanged.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
            raise UserError(f"{target}: the checkpoint cannot be written ({error})") from error
