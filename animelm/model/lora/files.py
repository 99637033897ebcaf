"""Reads and checks the files of an adapter folder."""

from dataclasses import dataclass
from pathlib import Path

from peft import LoraConfig

from animelm.errors import UserError
from animelm.model.checkpoint.reader import tensors_in
from animelm.model.lora.adapter_config import PLAIN_STARTS, honored_settings
from animelm.reading import read_json

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"


def find_adapter(folder: Path) -> Path:
    """The adapter's folder that a path means: itself, or ``adapter`` in the folder of a run."""
    inside = folder / "adapter"
    holds_one = (inside / CONFIG_FILE).is_file() and not (folder / CONFIG_FILE).is_file()
    return inside if holds_one else folder


@dataclass(frozen=True)
class StoredAdapter:
    """A LoRA adapter in a folder; its weights are read once, and dropped.

    Attributes:
        folder: the adapter folder.
        config: its configuration, as PEFT reads it.
        tensors: names of the tensors in its weights file.
    """

    folder: Path
    config: LoraConfig
    tensors: frozenset[str]

    @staticmethod
    def from_folder(folder: Path) -> "StoredAdapter":
        """The adapter that ``save_adapter`` or PEFT wrote.

        Raises:
            UserError: a file is missing or malformed, a weight is not finite, or the adapter would
                change the base's own weights.
        """
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / file).is_file():
                raise UserError(
                    f"{folder}: no {file}; expected an adapter folder that a fit has written"
                )
        config = _read_config(folder / CONFIG_FILE)
        names = set()
        for tensor in tensors_in(folder / WEIGHTS_FILE):
            names.add(tensor.name)
            if not tensor.read().isfinite().all():
                raise tensor.error("its values are not finite; training it has failed")
        return StoredAdapter(folder, config, frozenset(names))


def _read_config(path: Path) -> LoraConfig:
    values = read_json(path)
    if not isinstance(values, dict) or values.get("peft_type") != "LORA":
        found = values.get("peft_type") if isinstance(values, dict) else type(values).__name__
        raise UserError(f"{path}: found {found}; expected an object with peft_type LORA")
    bias = values.get("bias", "none")
    if bias != "none":
        raise UserError(
            f"{path}: bias is {bias!r}, so biases in its file replace the base's own, even where "
            "the adapter is switched off; train it with bias 'none', and for biases of its own "
            "with PEFT's lora_bias"
        )
    start = values.get("init_lora_weights", True)
    if start not in PLAIN_STARTS:
        raise UserError(
            f"{path}: init_lora_weights is {start!r}, which changes the base's own weights; save "
            "the adapter again as plain LoRA (PEFT's path_initial_model_for_weight_conversion)"
        )
    try:
        return LoraConfig(**honored_settings(path, values))
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: PEFT cannot read it as a LoRA adapter's: {error}") from error
