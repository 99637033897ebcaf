"""Configurations of published bases, so that they can be inspected without a download."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "released"
_FILES = {
    "openai/gpt-oss-20b": "gpt-oss-20b.json",
    "unsloth/gpt-oss-20b": "gpt-oss-20b.json",
    "llm-jp/llm-jp-3-7.2b-instruct3": "llm-jp-3-7.2b-instruct3.json",
}
RELEASED = tuple(_FILES)
"""Hub ids whose configuration comes with the project."""


def released_config(base: str) -> dict[str, Any] | None:
    """The model's part of a published base's config.json; None for any other base.

    It holds dimensions and constants, not how the weights are stored (``quantization_config``). A
    base on this machine is described by its own file instead.

    Args:
        base: Hub id, such as unsloth/gpt-oss-20b.
    """
    file = _FILES.get(base)
    return json.loads((_FOLDER / file).read_text(encoding="utf-8")) if file else None
