from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animelm.errors import UserError
from animelm.train.checkpoints.seal import require_intact, seal

DAMAGED = "is damaged|cannot be read as a checkpoint"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    torch.save({"step": 3, "weight": torch.arange(50.0)}, path)
    return path


def test_a_sealed_checkpoint_is_intact_and_read_as_before(checkpoint: Path) -> None:
    seal(checkpoint)
    require_intact(checkpoint)
    read = torch.load(checkpoint, weights_only=True)
    assert torch.equal(read["weight"], torch.arange(50.0))
    assert torch.load(checkpoint, weights_only=True, mmap=True)["step"] == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_every_flipped_bit_is_found(checkpoint: Path, data: st.DataObject) -> None:
    if b"animelm sha256" not in checkpoint.read_bytes():
        seal(checkpoint)
    content = bytearray(checkpoint.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    damaged = checkpoint.with_name("damaged.ckpt")
    damaged.write_bytes(content)
    with pytest.raises(UserError, match=DAMAGED):
        require_intact(damaged)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_that_was_cut_short_is_refused(checkpoint: Path, sealed: bool, share: float) -> None:
    if sealed:
        seal(checkpoint)
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=DAMAGED):
        require_intact(checkpoint)


def test_an_earlier_versions_file_is_checked_by_its_crcs(checkpoint: Path) -> None:
    require_intact(checkpoint)
    content = bytearray(checkpoint.read_bytes())
    content[content.index(torch.arange(50.0).numpy().tobytes())] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.ckpt: is damaged"):
        require_intact(checkpoint)


def test_only_an_archive_is_sealed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"no archive" * 9)
    with pytest.raises(ValueError, match="not a zip archive"):
        seal(tmp_path / "other")
