"""What lies beside the weights in an export: configuration, tokenizer, chat template, record."""

import json
import shutil
from pathlib import Path
from typing import Any

from animelm.files import write_whole
from animelm.model.checkpoint.hub import load_config, resolve_base
from animelm.provenance.record import RECORD_FILE

_TOKENIZER_FILES = ("tokenizer.json", "special_tokens_map.json", "chat_template.jinja")
_TOKENIZER_CONFIG = "tokenizer_config.json"
# The class that takes tokenizer.json as it is, as training does. That of Llama would replace parts
# of it, and newer names are unknown to older libraries.
_PLAIN_CLASS = "PreTrainedTokenizerFast"


def copy_tokenizer(base: str, folder: Path) -> None:
    """Copies the tokenizer and the chat template of a base; other tools shall load it as it is."""
    source = resolve_base(base)
    if (source / _TOKENIZER_CONFIG).is_file():
        values = json.loads((source / _TOKENIZER_CONFIG).read_text(encoding="utf-8"))
        values.pop("auto_map", None)
        values["tokenizer_class"] = _PLAIN_CLASS
        text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
        write_whole(folder / _TOKENIZER_CONFIG, text)
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
