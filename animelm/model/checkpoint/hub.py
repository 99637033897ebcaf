"""Finds a base: a local folder, or a repository on the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from transformers import PreTrainedTokenizerBase

from animelm.errors import UserError
from animelm.hub import download, require_hub_name
from animelm.model.architecture import Config, read_config
from animelm.model.checkpoint.released import released_config
from animelm.reading import read_json
from animelm.shipped import find_shipped


def resolve_base(base: str) -> Path:
    """The folder of a base: a local path, or a hub id that is downloaded.

    Only the safetensors files, JSON files and chat template in the root of a hub repository are
    downloaded: its subfolders hold the weights for other programs.

    Raises:
        UserError: ``base`` is neither a folder with a config.json nor a hub id that can be reached.
    """
    folder = _local_folder(base)
    if folder:
        return folder
    require_hub_name(base)
    return download(base, ["*.safetensors", "*.json", "*.jinja"], leave_out=["*/*"])


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, base: str) -> None:
    """Refuses a tokenizer with tokens that the base's embedding has no row for.

    Raises:
        UserError: there is such a token, or as ``load_config``.
    """
    tokens = max(tokenizer.get_vocab().values(), default=-1) + 1
    rows = load_config(base).vocab_size
    if tokens > rows:
        raise UserError(
            f"{base}: its tokenizer has {tokens} tokens, and its embedding has {rows} rows "
            "(vocab_size in config.json); expected a row for each token"
        )


def load_config(base: str) -> Config:
    """The configuration of a base; no weight is downloaded.

    For a published base that is not on this machine, the copy that comes with the project is used.

    Raises:
        UserError: as ``resolve_base``; or the base has an unsupported architecture.
    """
    folder = _local_folder(base)
    file = folder / "config.json" if folder else _cached_config(base)
    if file is None:
        released = released_config(base)
        if released is not None:
            return read_config(released, base)
        require_hub_name(base)
        file = download(base, ["config.json"]) / "config.json"
    return read_config(read_json(file), file)


def _local_folder(base: str) -> Path | None:
    folder = find_shipped(Path(base))
    if (folder / "config.json").is_file():
        return folder
    if folder.exists():
        raise UserError(
            f"{base}: has no config.json; expected a checkpoint as transformers writes it"
        )
    return None


def _cached_config(base: str) -> Path | None:
    try:
        found = try_to_load_from_cache(base, "config.json")
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None
