"""Files that were made to do harm end in one message, or are read without harm."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile_commands import COMMANDS
from hostile_files import CASES

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
_GIGABYTE = 10**9


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """How the command of each case ended."""
    folder = tmp_path_factory.mktemp("hostile")
    runner = Path(__file__).parent / "hostile_runner.py"
    ran = subprocess.run(
        [sys.executable, runner, folder], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}


def test_there_are_sixty_cases_or_more() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES | COMMANDS)
def test_a_hostile_file_does_no_harm(name: str, results: dict[str, dict[str, Any]]) -> None:
    result = results[name]
    printed = result["out"] + result["err"]
    assert not result["code_ran"]
    assert not result["hung"]
    assert result["memory"] < _GIGABYTE
    assert "Traceback" not in printed, printed[-3000:]
    assert not _CONTROL.search(printed)
    assert result["status"] in (0, 2), printed[-3000:]
    assert result["status"] == 0 or "error: " in result["err"]
