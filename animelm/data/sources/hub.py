"""Datasets on the Hugging Face hub, which are fetched once and then read like any folder."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from animelm.data.sources.parquet import SUFFIX, find_shards
from animelm.errors import UserError

# A Path has lost one of the two slashes.
_HUB = re.compile(r"hf:/{1,2}datasets/([\w.-]+/[\w.-]+)(?:@([^/]+))?(?:/(.+))?")


def local_copy(path: Path) -> Path:
    """The path as it is; of ``hf://datasets/owner/name``, the folder of its Parquet files.

    Only Parquet is fetched, into the hub's own cache, so that nothing of a dataset can run. As on
    the hub, ``owner/name@revision`` takes another revision than the newest, and a folder or a file
    may follow, as in ``hf://datasets/owner/name/data``.

    Raises:
        UserError: the hub or the dataset cannot be reached, or it holds no Parquet there.
    """
    match = _HUB.fullmatch(path.as_posix())
    if not match:
        return path
    repository, revision, inside = match.groups()
    wanted = [inside, f"{inside}/*{SUFFIX}"] if inside else [f"*{SUFFIX}"]
    address = "hf://" + match[0].removeprefix("hf:").lstrip("/")
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=wanted
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{address}: the hub gave no dataset of that name ({type(error).__name__})"
        ) from error
    found = Path(folder, inside or "")
    if not find_shards(found):
        raise UserError(f"{address}: holds no {SUFFIX} file")
    return found
