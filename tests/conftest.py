"""What all tests share: no network, no screen, the same examples every time."""

import os

# Before the libraries are imported: nothing may be fetched, nothing may open a window.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine must not fail a property, and a failure must come again.
settings.register_profile("animelm", deadline=None, derandomize=True)
settings.load_profile("animelm")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real articles and questions beside the clone; the test is skipped where they are absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not beside this clone")
    return folder
