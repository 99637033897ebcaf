"""Sends an export to the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from animelm.errors import UserError


def push(folder: Path, repository: str, public: bool) -> str:
    """Makes the repository if there is none, and sends all files in one commit.

    Args:
        folder: the export.
        repository: owner/name.
        public: whether a repository that is made here can be read by everyone.

    Returns:
        The address of the commit.

    Raises:
        UserError: the hub cannot be reached, or refuses.
    """
    api = HfApi()
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Add the export of an adapter"
        )
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"--push {repository}: {folder} is complete, and could not be sent: {reason}. After "
            "`hf auth login`, send it with `hf upload`"
        ) from error
    return str(commit.commit_url)
