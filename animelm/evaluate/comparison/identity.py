"""What decides the answers of a comparison: models, questions, settings, each by its content."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from animelm import __version__
from animelm.data.held_out import SplitSettings
from animelm.data.sources.parquet import file_hash
from animelm.evaluate.comparison.models import ComparedModel
from animelm.evaluate.comparison.own_sets import set_files
from animelm.evaluate.settings import CompareSettings
from animelm.provenance.fingerprints import record_base, record_paths

_SETTINGS = ("max_new_tokens", "max_thinking_tokens", "block_size", "compute_type", "rivals")
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


def comparison_identity(
    settings: CompareSettings, models: Sequence[ComparedModel], split: SplitSettings
) -> dict[str, Any]:
    """JSON values that differ between comparisons whose answers could differ."""
    checkpoints = {model.checkpoint for model in models}
    return {
        "animelm": __version__,
        "models": [asdict(model) | {"adapter": _folder(model.adapter)} for model in models],
        "bases": {name: asdict(record_base(name)) for name in sorted(checkpoints)},
        "adapters": {
            str(model.adapter): _adapter_hash(model.adapter) for model in models if model.adapter
        },
        "data": [asdict(record) for record in record_paths(settings.data_paths)],
        "sets": [
            {"path": str(path), "sha256": file_hash(path).hex()}
            for path in set_files(settings)
            if path.is_file()
        ],
        "questions": _plain(settings.sets),
        "questions_per_set": settings.questions_per_set,
        "trained_questions": settings.trained_questions,
        "split": asdict(split),
        "settings": {name: getattr(settings, name) for name in _SETTINGS},
    }


def _folder(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _plain(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(name): _plain(value) for name, value in values.items()}
    return values if isinstance(values, int | float | None) else str(values)


def _adapter_hash(folder: Path) -> str:
    found = hashlib.sha256()
    for name in _ADAPTER_FILES:
        if (folder / name).is_file():
            found.update(name.encode())
            found.update(file_hash(folder / name))
    return found.hexdigest()
