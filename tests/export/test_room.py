import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.export import room
from animelm.export.room import require_room
from animelm.export.settings import ExportSettings
from animelm.model.architecture import read_config
from animelm.model.checkpoint.released import released_config

Usage = namedtuple("Usage", "free")
CONFIG = read_config(released_config("openai/gpt-oss-20b"), "config.json")


@pytest.fixture
def settings(tmp_path: Path) -> ExportSettings:
    return ExportSettings(Path("adapter"), "merged", tmp_path / "new" / "out", check=False)


@pytest.mark.parametrize(("to", "needed"), [("merged", 39.0), ("mxfp4", 13.0), ("gguf", 39.0)])
def test_an_export_of_the_20b_without_free_disk_is_refused(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch, to: str, needed: float
) -> None:
    asked = replace(settings, to=to)  # type: ignore[arg-type]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=(needed - 2) * 2**30))
    with pytest.raises(UserError, match=r"needs .* of disk, and .* are free"):
        require_room(asked, CONFIG, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=(needed + 3) * 2**30))
    require_room(asked, CONFIG, 0)


def test_a_check_that_does_not_fit_into_memory_is_refused(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=2**50))
    monkeypatch.setattr(room.os, "sysconf", lambda name: 2**17)  # 16 GiB
    require_room(settings, CONFIG, 0)
    with pytest.raises(UserError, match=r"77\.\d GiB, and this machine has 16\.0 GiB of memory"):
        require_room(replace(settings, check=True), CONFIG, 0)
