"""Checkpoint files that appear whole or not at all."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from animelm.errors import UserError
from animelm.files import whole_file


class WholeFiles(TorchCheckpointIO):
    """Writes beside the file that is to be, and puts it in its place once it is on the disk.

    Lightning's own writes into the temporary folder and copies, which is not whole where that is
    another file system; and it holds all bytes in memory first. An address such as s3://… is
    Lightning's.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Replaces ``path`` by a file with ``checkpoint``.

        Raises:
            UserError: it cannot be written; an earlier file of that name is as it was.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # PyTorch's writer has an error of its own
            raise UserError(f"{target}: the checkpoint cannot be written ({error})") from error
