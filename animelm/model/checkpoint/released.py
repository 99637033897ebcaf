"""The configurations of published bases, so that they can be described without being fetched."""

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
    """What the config.json of a published base says about its model; None for any other base.

    Dimensions and constants only, for a base of which neither a folder nor a fetched copy is at
    hand; where there is one, its own file counts. How the published weights are stored
    (``quantization_config``) is not in it.

    Args:
        base: hub id, such as unsloth/gpt-oss-20b.
    """
    file = _FILES.get(base)
    return json.loads((_FOLDER / file).read_text(encoding="utf-8")) if file else None
