"""Runs a script of ``animelm.export.stock`` in a process that cannot import animelm."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from animelm.export.stock.measuring import Measured, Questions

# -I: nothing from the working directory or the environment can be imported either. The scripts'
# package is found by its folder, behind everything that is installed.
_LAUNCH = (
    "import runpy, sys; sys.modules['animelm'] = None; sys.path.append(sys.argv[1]); "
    "runpy.run_module(sys.argv[2], run_name='__main__')"
)
_SHOWN = 2000


class StockFailure(Exception):
    """The stock tool could not open an export; the message is the end of what it wrote."""


def ask_stock_model(
    script: str, model: Path, adapter: Path | None, questions: Questions, texts: Sequence[str]
) -> tuple[Measured, list[list[int]], list[str]]:
    """Asks the questions of an export in a process of its own.

    Args:
        script: module in ``animelm.export.stock``.
        model: checkpoint folder or file.
        adapter: folder of an adapter on it, or None.
        questions: what to ask.
        texts: what the export's own tokenizer shall encode.

    Returns:
        What was measured, the tokens of the texts, and what the tool found wrong while loading.

    Raises:
        StockFailure: the process has failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        request: Mapping[str, Any] = {
            "model": str(model),
            "adapter": str(adapter) if adapter else None,
            "questions": asdict(questions),
            "texts": list(texts),
            "output": scratch,
        }
        path = Path(scratch) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        run = subprocess.run(
            [
                *(sys.executable, "-I", "-c", _LAUNCH),
                *(str(Path(__file__).parent), f"stock.{script}", str(path)),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        if run.returncode:
            raise StockFailure(run.stderr[-_SHOWN:].strip() or f"status {run.returncode}")
        answers = json.loads((Path(scratch) / "answers.json").read_text(encoding="utf-8"))
        stored = load_file(Path(scratch) / "logits.safetensors")
        logits = [stored[str(i)] for i in range(len(stored))]
        measured = Measured(answers["replies"], answers["losses"], logits)
        return measured, answers["tokens"], answers["problems"]
