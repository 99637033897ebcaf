"""Hashes that tell whether a base or a data file is the one that an adapter was trained on."""

import hashlib
from pathlib import Path

from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.hub import local_copy
from animelm.data.sources.markdown import content_hash
from animelm.data.sources.parquet import file_hash, find_shards
from animelm.errors import UserError
from animelm.model.checkpoint.hub import resolve_base
from animelm.provenance.record import BaseRecord, DataRecord, DataRole

# A shard of several GB is not read whole: its header names every tensor with its type, shape and
# place, and its last tensors differ between two models of one shape.
_READ_AT_EACH_END = 2**20


def record_base(base: str) -> BaseRecord:
    """The base's name, with hashes of its configuration and of its weights.

    The hash of the weights covers the index, and the name, the size, the first and the last MiB of
    each file.

    Args:
        base: Checkpoint folder or hub id; what has not been fetched yet is fetched.

    Raises:
        UserError: as ``resolve_base``.
    """
    folder = resolve_base(base)
    config = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    weights = hashlib.sha256()
    for index in sorted(folder.glob("*.safetensors.index.json")):
        weights.update(index.read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        weights.update(f"{file.name} {file.stat().st_size}\n".encode())
        weights.update(_ends(file))
    return BaseRecord(base, config, weights.hexdigest())


def _ends(file: Path) -> bytes:
    with file.open("rb") as stream:
        first = stream.read(_READ_AT_EACH_END)
        stream.seek(max(0, file.stat().st_size - _READ_AT_EACH_END))
        return first + stream.read()


def record_data(role: DataRole, path: Path) -> DataRecord:
    """One source of training data, with a hash of its content.

    Args:
        role: What the data are used for. ``articles`` and ``general_articles`` are folders of
            articles; the others are files of questions.
        path: The folder or file, or a dataset on the hub.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    if role in ("articles", "general_articles"):
        return DataRecord(role, str(path), open_articles(path).content_hash())
    found = local_copy(path)
    shards = find_shards(found)
    if found.is_dir() and shards:
        return DataRecord(role, str(path), content_hash(found, shards, file_hash))
    if not found.is_file():
        raise UserError(f"{path}: no such file; expected questions and answers")
    return DataRecord(role, str(path), file_hash(found).hex())
