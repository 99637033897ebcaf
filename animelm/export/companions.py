"""What lies beside the weights in an export: configuration, tokenizer, chat template, record."""

import json
import shutil
from pathlib import Path
from typing import Any

from animelm.files import write_whole
from animelm.model.checkpoint.hub import load_config, resolve_base
from animelm.provenance.record import RECORD_FILE

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def copy_tokenizer(base: str, folder: Path) -> None:
    """Copies the tokenizer and the chat template of a base."""
    source = resolve_base(base)
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def write_model_config(base: str, folder: Path, changes: dict[str, Any]) -> None:
    """Writes config.json and the settings of generation, as stock transformers reads them."""
    source = resolve_base(base)
    values = json.loads((source / "config.json").read_text(encoding="utf-8"))
    values.pop("quantization_config", None)
    values |= {"architectures": load_config(str(source)).architectures} | changes
    write_whole(folder / "config.json", json.dumps(values, ensure_ascii=False, indent=1) + "\n")
    if (source / "generation_config.json").is_file():
        shutil.copyfile(source / "generation_config.json", folder / "generation_config.json")


def copy_record(adapter: Path, folder: Path) -> None:
    """Copies the record of what the adapter was trained on, where there is one."""
    if (adapter / RECORD_FILE).is_file():
        shutil.copyfile(adapter / RECORD_FILE, folder / RECORD_FILE)
