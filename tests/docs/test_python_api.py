"""The code of the page on Python, and of the notebook, runs as it stands on a tiny base."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tiny_base import write_tiny_base

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "notebooks" / "first-steps.ipynb"


def page_code() -> list[str]:
    text = (DOCS / "python-api.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def notebook() -> dict[str, Any]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def notebook_code() -> list[str]:
    cells = [cell for cell in notebook()["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) + "\n" for cell in cells]


def test_the_code_of_the_notebook_runs_from_its_first_cell_to_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "checkpoints" / "nano-gpt-oss-ja"
    base.mkdir(parents=True)
    write_tiny_base(base)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook_code()):
        small = cell.replace("STEPS, QUESTIONS = 20, 4", "STEPS, QUESTIONS = 1, 1")
        exec(compile(small, f"cell {number}", "exec"), names)
    assert (tmp_path / "runs" / "python" / "adapter" / "adapter_record.json").is_file()
    summary = json.loads((tmp_path / "runs/python/compare/summary.json").read_text())
    assert set(summary["models"]) == {"base", "sft_only"}
    printed = capsys.readouterr().out
    assert "sft_only 1" in printed and "\nadapter " in printed


def test_page_and_notebook_have_the_same_code() -> None:
    assert page_code() == notebook_code()


def test_the_notebook_holds_no_results_of_a_machine() -> None:
    stored = notebook()
    assert stored["nbformat"] == 4
    for cell in stored["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == (
            [],
            None,
        )
    links = re.findall(r"\]\(([^)]+)\)", NOTEBOOK.read_text(encoding="utf-8"))
    assert links and all((NOTEBOOK.parent / link).exists() for link in links)
