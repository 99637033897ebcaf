from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from animelm.errors import UserError
from animelm.model.shards import Checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"a": torch.arange(6.0).view(2, 3)}, tmp_path / "model-1.safetensors")
    large, small = torch.ones(64, dtype=torch.uint8), torch.ones(5, dtype=torch.bfloat16)
    save_file({"b": large, "c": small}, tmp_path / "model-2.safetensors")
    return tmp_path


def test_tensors_come_file_by_file_and_are_read_when_asked_for(folder: Path) -> None:
    checkpoint = Checkpoint.in_folder(folder)
    assert next(iter(checkpoint)).name == "a"
    sizes = {tensor.name: tensor.bytes for tensor in checkpoint}
    assert sizes == {"a": 24, "b": 64, "c": 10}
    assert checkpoint.bytes == 98
    tensors = {tensor.name: tensor.read() for tensor in checkpoint}
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3))
    assert tensors["c"].dtype == torch.bfloat16


def test_a_file_that_is_cut_off_is_named(folder: Path) -> None:
    file = folder / "model-2.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"model-2\.safetensors: not a whole safetensors file"):
        Checkpoint.in_folder(folder)


def test_a_file_that_shrinks_under_the_reader_names_the_tensor(folder: Path) -> None:
    checkpoint = Checkpoint.in_folder(folder)
    file = folder / "model-2.safetensors"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 3)
    with pytest.raises(UserError, match=r"model-2\.safetensors: tensor \w cannot be read"):
        for tensor in checkpoint:
            tensor.read()


def test_something_else_under_that_name_is_refused(folder: Path) -> None:
    (folder / "model-1.safetensors").write_text("no tensors in here")
    with pytest.raises(UserError, match=r"model-1\.safetensors: not a whole safetensors file"):
        Checkpoint.in_folder(folder)


def test_a_tensor_that_another_needs_is_named_where_it_is_missing(folder: Path) -> None:
    checkpoint = Checkpoint.in_folder(folder)
    first = next(iter(checkpoint))
    with pytest.raises(UserError, match=r"model-1\.safetensors: tensor a needs a\.scales"):
        checkpoint.beside(first, "a.scales")
    assert checkpoint.beside(first, "b").name == "b"
