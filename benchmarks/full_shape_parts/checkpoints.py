"""Checkpoints of the two real models' shapes, with random weights, in the formats of their release.

Legend: E experts, I input width, O output width.
"""

import json
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from animelm.model.architecture import new_model, read_config
from animelm.model.checkpoint.released import released_config

_STD = 0.02
# 2^-7 times E2M1's random values, which spread by 2.9, spreads the weights by 0.02.
_MXFP4_SCALE = 120
_TEMPLATES = {
    "gpt-oss": "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}"
    "<|channel|>final{% endif %}<|message|>{{ m.content }}{% if m.role == 'assistant' %}"
    "<|return|>{% else %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    "llm-jp": "{% for m in messages %}{% if m.role == 'assistant' %}\n\n### 応答:\n"
    "{{ m.content }}<|endoftext|>{% else %}\n\n### 指示:\n{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}\n\n### 応答:\n{% endif %}",
}


def write_checkpoint(base: str, folder: Path, tokenizer_file: Path) -> None:
    """Writes weights, configuration and tokenizer, with one layer at a time in memory.

    Args:
        base: hub id of a published base whose shape comes with the project.
        folder: an empty folder.
        tokenizer_file: tokenizer.json of gpt-oss. Only its first tokens are kept where the model's
            vocabulary is smaller: only shapes matter for the cost of a step.
    """
    torch.manual_seed(0)
    values: dict[str, Any] = released_config(base) or {}
    with torch.device("meta"):
        model = new_model(read_config(values, base))
    shards: dict[str, dict[str, Tensor]] = {}
    for name, tensor in model.state_dict().items():
        layer = name.split(".")[2] if name.startswith("model.layers.") else name.split(".")[-2]
        shards.setdefault(layer, {})[name] = tensor
    for number, shard in track(enumerate(shards.values()), f"Writing {base}", len(shards)):
        state: dict[str, Tensor] = {}
        for name, tensor in shard.items():
            state |= _released(name, tensor.shape)
        save_file(state, folder / f"model-{number:05}-of-{len(shards):05}.safetensors")
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    _write_tokenizer(base, folder, tokenizer_file, values["vocab_size"])


def _released(name: str, shape: torch.Size) -> dict[str, Tensor]:
    """The tensors of the released files that hold one parameter of stock transformers."""
    if name.endswith((".experts.gate_up_proj", ".experts.down_proj")):
        experts, inputs, outputs = shape
        blocks = torch.randint(256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
        scales = torch.full((experts, outputs, inputs // 32), _MXFP4_SCALE, dtype=torch.uint8)
        return {f"{name}_blocks": blocks, f"{name}_scales": scales}
    if "norm" in name:
        return {name: torch.ones(shape, dtype=torch.bfloat16)}
    return {name: torch.empty(shape, dtype=torch.bfloat16).normal_(std=_STD)}


def _write_tokenizer(base: str, folder: Path, source: Path, size: int) -> None:
    content = json.loads(source.read_text(encoding="utf-8"))
    plain = size - len(content["added_tokens"])
    model = content["model"]
    if len(model["vocab"]) > plain:  # a token's number is the order of its merge
        model["vocab"] = {token: i for token, i in model["vocab"].items() if i < plain}
        kept = model["vocab"].keys()
        model["merges"] = [pair for pair in model["merges"] if "".join(pair) in kept]
        for number, token in enumerate(content["added_tokens"]):
            token["id"] = plain + number
    cut = folder / "tokenizer.json"
    cut.write_text(json.dumps(content), encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(cut), eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    kind = "gpt-oss" if "gpt-oss" in base else "llm-jp"
    tokenizer.chat_template = _TEMPLATES[kind]
    tokenizer.save_pretrained(folder)
