"""Recognizes what ``export`` has written, so that it can be asked like any base or adapter."""

import json
from pathlib import Path

from animelm.errors import UserError
from animelm.model.quantization.linear4bit import Quantization

EXPORT_RECORD = "export.json"
_WHOLE_MODELS: dict[str, Quantization] = {"merged": "none", "mxfp4": "mxfp4"}


def whole_export(folder: Path) -> Quantization | None:
    """How ``load_base`` loads an export that is a whole model; None for an adapter.

    Raises:
        UserError: the export is a GGUF file, which only llama.cpp reads, or its record is damaged.
    """
    record = folder / EXPORT_RECORD
    if not record.is_file():
        return None
    try:
        kind = json.loads(record.read_text(encoding="utf-8"))["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record}: expected the record of an export ({error!r})") from error
    if kind == "gguf":
        raise UserError(f"{folder}: a GGUF file is read by llama.cpp and Ollama, not here")
    return _WHOLE_MODELS.get(kind)
