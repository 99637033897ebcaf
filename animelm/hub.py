"""Downloads from the Hugging Face hub; a missing connection is found in seconds."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import constants, get_session, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from animelm.errors import UserError

# Seconds. Without this check each file of a repository is tried six times.
_TIMEOUT = 5
# Owner and name.
_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")


def require_hub_name(base: str) -> None:
    """Refuses what can only be meant as a folder, instead of asking the hub for it.

    Raises:
        UserError: ``base`` is no name on the hub; or it lies in a folder that is here, or in the
            one of the project's own bases.
    """
    inside = Path(base).parts[:-1]
    if not _NAME.fullmatch(base) or Path(*inside).is_dir() or inside == ("checkpoints",):
        raise UserError(
            f"base {base!r}: no such folder; expected a checkpoint folder with config.json, or the "
            "name of a model on the hub such as unsloth/gpt-oss-20b"
        )


def download(
    repository: str,
    patterns: Sequence[str],
    kind: Literal["model", "dataset"] = "model",
    revision: str | None = None,
    leave_out: Sequence[str] = (),
) -> Path:
    """The folder of a repository's files, fetched now or by an earlier call.

    Without a connection, the download cache is used.

    Args:
        repository: Owner and name, such as unsloth/gpt-oss-20b.
        patterns: Which files are wanted, as for ``fnmatch``.
        kind: Kind of the repository.
        revision: Branch, tag or commit.
        leave_out: Which of the wanted files are not.

    Raises:
        UserError: there is no such repository, or neither the hub nor a copy can be reached.
    """
    problem = _problem_of_connection()
    try:
        return Path(
            snapshot_download(
                repository,
                repo_type=kind,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(leave_out),
                local_files_only=problem is not None,
            )
        )
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{repository}: is not in the download cache, and {constants.ENDPOINT} cannot be "
            f"reached ({problem or type(error).__name__}). Connect to the network, or copy the "
            f"{kind} here and name its folder"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"{repository}: cannot be fetched from the hub ({type(error).__name__}); expected the "
            f"name of a {kind} that is public or that your token may read"
        ) from error


def _problem_of_connection() -> str | None:
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=_TIMEOUT)
    except Exception as error:  # the client's errors have no common class that is documented
        return type(error).__name__
    return None
