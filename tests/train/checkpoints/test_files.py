from pathlib import Path

import pytest
import torch

from animelm.errors import UserError
from animelm.train.checkpoints.files import (
    AtomicCheckpointIO,
    read_checkpoint,
    require_state_to_go_on,
)

CONTENT = {"state_dict": {"weight": torch.ones(2)}, "pytorch-lightning_version": "2.6"}


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.file,))


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, path)
    read = AtomicCheckpointIO().load_checkpoint(path)
    assert torch.equal(read["state_dict"]["weight"], torch.ones(2))
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


def test_no_code_is_loaded_even_if_lightning_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT | {"more": Payload(tmp_path / "ran")}, path)
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "holds no state_dict"),
        ({"weight": torch.ones(2)}, "holds no state_dict"),
        (CONTENT | {"state_dict": 3}, "holds no state_dict"),
        (CONTENT | {"pytorch-lightning_version": "newest"}, "version is no version"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=rf"last\.ckpt: .*{message}"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_weights_alone_are_not_enough_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"last\.ckpt: holds no epoch"):
        require_state_to_go_on(tmp_path / "last.ckpt", CONTENT)
