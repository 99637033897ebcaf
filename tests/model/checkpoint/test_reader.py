import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from animelm.errors import UserError
from animelm.model.checkpoint.reader import Checkpoint

INDEX = "model.safetensors.index.json"


def write_index(folder: Path, **files: str) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))


def names_in(folder: Path) -> set[str]:
    return {tensor.name for tensor in Checkpoint.from_folder(folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"a": torch.arange(6.0).view(2, 3)}, tmp_path / "model-1.safetensors")
    large, small = torch.ones(64, dtype=torch.uint8), torch.ones(5, dtype=torch.bfloat16)
    save_file({"b": large, "c": small}, tmp_path / "model-2.safetensors")
    return tmp_path


def test_tensors_come_file_by_file_and_are_read_when_asked_for(folder: Path) -> None:
    checkpoint = Checkpoint.from_folder(folder)
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
    with pytest.raises(UserError, match=r"model-2\.safetensors: not a complete safetensors file"):
        Checkpoint.from_folder(folder)


def test_a_file_that_shrinks_under_the_reader_names_the_tensor(folder: Path) -> None:
    checkpoint = Checkpoint.from_folder(folder)
    file = folder / "model-2.safetensors"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 3)
    with pytest.raises(UserError, match=r"model-2\.safetensors: tensor \w cannot be read"):
        for tensor in checkpoint:
            tensor.read()


def test_something_else_under_that_name_is_refused(folder: Path) -> None:
    (folder / "model-1.safetensors").write_text("no tensors in here")
    with pytest.raises(UserError, match=r"model-1\.safetensors: not a complete safetensors file"):
        Checkpoint.from_folder(folder)


def test_a_tensor_that_another_needs_is_named_where_it_is_missing(folder: Path) -> None:
    checkpoint = Checkpoint.from_folder(folder)
    first = next(iter(checkpoint))
    with pytest.raises(UserError, match=r"model-1\.safetensors: tensor a needs a\.scales"):
        checkpoint.companion(first, "a.scales")
    assert checkpoint.companion(first, "b").name == "b"


def test_files_that_the_index_does_not_name_are_not_read(folder: Path) -> None:
    write_index(folder, b="model-2.safetensors", c="model-2.safetensors")
    save_file({"b": torch.zeros(64)}, folder / "old.safetensors")
    save_file({"lora": torch.zeros(1)}, folder / "adapter_model.safetensors")
    assert names_in(folder) == {"b", "c"}
    assert {Path(tensor.file).name for tensor in Checkpoint.from_folder(folder)} == {
        "model-2.safetensors"
    }


@pytest.mark.parametrize("indexed", [False, True])
def test_a_single_file_counts_alone_as_in_transformers(folder: Path, indexed: bool) -> None:
    if indexed:
        write_index(folder, b="model-2.safetensors")
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    [tensor] = Checkpoint.from_folder(folder)
    assert tensor.read().tolist() == [0]


def test_an_adapter_beside_the_weights_is_left_out(folder: Path) -> None:
    save_file({"lora": torch.zeros(1)}, folder / "adapter_model.safetensors")
    assert names_in(folder) == {"a", "b", "c"}


def test_a_file_that_the_index_names_and_is_not_there_is_named(folder: Path) -> None:
    write_index(folder, a="model-1.safetensors", b="model-2.safetensors", z="model-3.safetensors")
    with pytest.raises(UserError, match=rf"{INDEX}: .* names model-3\.safetensors, but it"):
        Checkpoint.from_folder(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../model-1.safetensors",
        "/etc/model.safetensors",
        "..\\m.safetensors",
        "..",
        "model.bin",
        "",
    ],
)
def test_an_index_names_nothing_outside_its_folder(folder: Path, name: str) -> None:
    inside = folder / "inside"
    inside.mkdir()
    write_index(inside, a=name)
    with pytest.raises(UserError, match=rf"{INDEX}: weight_map names .*files in its folder"):
        Checkpoint.from_folder(inside)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 5}}', '{"weight_map": {}}'],
)
def test_a_broken_index_is_named(folder: Path, text: str) -> None:
    (folder / INDEX).write_text(text)
    with pytest.raises(UserError, match=rf"{INDEX}: .*expected"):
        Checkpoint.from_folder(folder)


def test_a_tensor_in_two_files_is_refused_with_both_named(folder: Path) -> None:
    save_file({"a": torch.zeros(1)}, folder / "model-3.safetensors")
    with pytest.raises(UserError, match=r"model-3\.safetensors: tensor a is in .*model-1\.safe"):
        Checkpoint.from_folder(folder)
