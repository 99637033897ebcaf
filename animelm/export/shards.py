"""Writes tensors into safetensors files of a limited size; one file is in memory at a time."""

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from animelm.files import give_usual_permissions, write_whole

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def write_shards(tensors: Iterable[tuple[str, Tensor]], folder: Path, largest: int) -> int:
    """Writes the tensors as transformers does: one file, or numbered files with an index.

    Args:
        tensors: names and tensors, each taken when the one before has been stored.
        folder: where to write.
        largest: size of a file in bytes; a larger tensor has a file of its own.

    Returns:
        The bytes of all tensors.
    """
    shard: dict[str, Tensor] = {}
    files: list[list[str]] = []
    total = 0

    def flush() -> None:
        path = folder / f"{len(files)}.partial"
        save_file(shard, path, metadata={"format": "pt"})
        give_usual_permissions(path)
        files.append(list(shard))
        shard.clear()

    for name, tensor in tensors:
        if shard and sum(each.nbytes for each in shard.values()) + tensor.nbytes > largest:
            flush()
        shard[name] = tensor
        total += tensor.nbytes
    flush()
    if len(files) == 1:
        (folder / "0.partial").rename(folder / SINGLE)
        return total
    places: dict[str, str] = {}
    for number, names in enumerate(files):
        file = f"model-{number + 1:05}-of-{len(files):05}.safetensors"
        (folder / f"{number}.partial").rename(folder / file)
        places |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    write_whole(folder / INDEX, json.dumps(index, indent=1) + "\n")
    return total
