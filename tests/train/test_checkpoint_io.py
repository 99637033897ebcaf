from pathlib import Path

import pytest
import torch

from animelm.errors import UserError
from animelm.train.checkpoint_io import AtomicCheckpointIO


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 3, "weight": torch.ones(2)}, path)
    read = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert read["step"] == 3 and torch.equal(read["weight"], torch.ones(2))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("unexpected pos")])
def test_a_checkpoint_that_cannot_be_written_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def half(checkpoint, file) -> None:
        file.write(b"half")
        raise error

    path = tmp_path / "last.ckpt"
    path.write_bytes(b"whole")
    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(UserError, match=r"last\.ckpt: the checkpoint cannot be written"):
        AtomicCheckpointIO().save_checkpoint({}, path)
    assert path.read_bytes() == b"whole"
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
