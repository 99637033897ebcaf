import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from animelm.export.shards import write_shards
from animelm.model.checkpoint.reader import Checkpoint

TENSORS = {f"layer.{number}": torch.full((4, 4), float(number)) for number in range(5)}


def test_few_tensors_are_one_file(tmp_path: Path) -> None:
    assert write_shards(TENSORS.items(), tmp_path, 2**20) == 5 * 64
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    assert load_file(tmp_path / "model.safetensors").keys() == TENSORS.keys()


def test_the_weights_can_be_read_by_whoever_reads_other_files(tmp_path: Path) -> None:
    write_shards(TENSORS.items(), tmp_path, 130)
    files = tmp_path.iterdir()
    assert len({file.stat().st_mode for file in files}) == 1


def test_many_tensors_are_numbered_files_with_an_index(tmp_path: Path) -> None:
    write_shards(TENSORS.items(), tmp_path, 130)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert index["metadata"]["total_size"] == 5 * 64
    assert set(index["weight_map"].values()) == {
        f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)
    }
    assert all(file.stat().st_size < 1000 for file in tmp_path.iterdir())
    read = {tensor.name: tensor.read() for tensor in Checkpoint.from_folder(tmp_path)}
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


def test_a_tensor_above_the_limit_has_a_file_of_its_own(tmp_path: Path) -> None:
    write_shards(TENSORS.items(), tmp_path, 10)
    assert len(list(tmp_path.glob("model-*.safetensors"))) == 5
