"""Datasets on the Hugging Face hub, which are downloaded once and then read as folders."""

import re
from pathlib import Path

from animelm.data.sources.parquet import SUFFIX, find_shards
from animelm.errors import UserError
from animelm.hub import download
from animelm.shipped import find_shipped

# A Path has lost one of the two slashes.
_HUB = re.compile(r"hf:/{1,2}datasets/([\w.-]+/[\w.-]+)(?:@([^/]+))?(?:/(.+))?")


def is_on_hub(path: Path) -> bool:
    """Whether the path names a dataset on the hub."""
    return _HUB.fullmatch(path.as_posix()) is not None


def local_copy(path: Path) -> Path:
    """The path unchanged, or for ``hf://datasets/owner/name`` the folder of its Parquet files.

    Only Parquet files are downloaded, into the cache of huggingface_hub, so that no code of a
    dataset can run. ``owner/name@revision`` selects a revision, and a folder or file may follow, as
    in ``hf://datasets/owner/name/data``.

    Raises:
        UserError: the hub or the dataset cannot be reached, or there is no Parquet file.
    """
    match = _HUB.fullmatch(path.as_posix())
    if not match:
        return find_shipped(path)
    repository, revision, inside = match.groups()
    wanted = [inside, f"{inside}/*{SUFFIX}"] if inside else [f"*{SUFFIX}"]
    address = "hf://" + match[0].removeprefix("hf:").lstrip("/")
    folder = download(repository, wanted, "dataset", revision)
    found = folder / (inside or "")
    if not find_shards(found):
        raise UserError(f"{address}: holds no {SUFFIX} file")
    return found
