from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from animelm import hub
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.hub import download
from animelm.model.checkpoint.hub import load_config, resolve_base


class Session:
    """A connection that fails or answers, and how often it was tried."""

    def __init__(self, fails: bool) -> None:
        self.fails, self.calls = fails, 0

    def head(self, address: str, timeout: float) -> None:
        assert address == constants.ENDPOINT and timeout <= 5
        self.calls += 1
        if self.fails:
            raise ConnectionError("name or service not known")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What was asked of the hub, whose download cache is empty."""
    asked: list[dict] = []

    def fetch(repository: str, **options: object) -> str:
        asked.append({"repository": repository, **options})
        if options["local_files_only"]:
            raise LocalEntryNotFoundError("nothing in the cache\nand more")
        return "/copy"

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return asked


def connection(monkeypatch: pytest.MonkeyPatch, fails: bool) -> Session:
    session = Session(fails)
    monkeypatch.setattr(hub, "get_session", lambda: session)
    return session


def test_without_a_connection_only_the_cache_is_asked_and_the_message_says_so(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connection(monkeypatch, fails=True)
    message = r"^a/b: is not in the download cache, and \S+ cannot be reached \(ConnectionError\)"
    with pytest.raises(UserError, match=message) as error:
        download("a/b", ["*.json"])
    assert session.calls == 1 and len(asked) == 1 and asked[0]["local_files_only"]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("load", [load_tokenizer, load_config, resolve_base])
def test_every_way_to_a_base_asks_only_once_without_a_connection(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch, load
) -> None:
    session = connection(monkeypatch, fails=True)
    with pytest.raises(UserError, match="is not in the download cache"):
        load("owner/some-base")
    assert session.calls == 1 and len(asked) == 1


def test_a_setting_that_forbids_the_network_is_named(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connection(monkeypatch, fails=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        download("a/b", ["*.json"])
    assert session.calls == 0


def test_with_a_connection_the_wanted_files_are_fetched(
    asked: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, fails=False)
    assert download("a/b", ["*.json"], "dataset", "v2", ["x/*"]) == Path("/copy")
    assert asked == [
        {
            "repository": "a/b",
            "repo_type": "dataset",
            "revision": "v2",
            "allow_patterns": ["*.json"],
            "ignore_patterns": ["x/*"],
            "local_files_only": False,
        }
    ]


def test_a_repository_that_does_not_exist_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    connection(monkeypatch, fails=False)
    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(UserError, match="a/b: cannot be fetched from the hub"):
        download("a/b", ["*.json"])


@pytest.mark.parametrize("load", [load_tokenizer, load_config, resolve_base])
@pytest.mark.parametrize("base", ["absent", "checkpoints/nano", "here/absent", "./a", "a/b/c"])
def test_what_can_only_be_a_folder_is_not_asked_of_the_hub(
    asked: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, load
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^base '{base}': no such folder"):
        load(base)
    assert not asked
