"""Opens an export with stock transformers and PEFT, asks it questions, and writes what it said.

``animelm.export.process`` starts it, without animelm. The request is an object with ``model`` (a
checkpoint folder), ``adapter`` (a folder, or null), ``questions`` (the fields of ``Questions``),
``texts`` (to be tokenized) and ``output`` (a folder).
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import Mxfp4Config

from .measuring import Questions, measure


def main() -> None:
    """Reads the request, and writes answers.json and logits.safetensors."""
    request = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    problems: list[str] = []
    model = _open_model(request["model"], problems)
    if request["adapter"]:
        model = _with_adapter(model, request["adapter"], problems)
    model.eval()
    output = Path(request["output"])
    found = measure(model, Questions(**request["questions"]))
    tokenizer = AutoTokenizer.from_pretrained(request["adapter"] or request["model"])
    plain = {"add_special_tokens": False, "split_special_tokens": True}
    tokens = [tokenizer(text, **plain)["input_ids"] for text in request["texts"]]
    logits = {str(i): tensor.contiguous() for i, tensor in enumerate(found.logits)}
    save_file(logits, output / "logits.safetensors")
    answers = {
        "replies": found.replies,
        "losses": found.losses,
        "tokens": tokens,
        "problems": problems,
    }
    (output / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def _open_model(folder: str, problems: list[str]) -> Any:
    packed = getattr(AutoConfig.from_pretrained(folder), "quantization_config", None)
    options: dict[str, Any] = {"attn_implementation": "eager", "output_loading_info": True}
    if packed:
        options["quantization_config"] = Mxfp4Config(dequantize=True)
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    model, report = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind):
            problems.append(f"{kind} {sorted(map(str, report[kind]))[:3]}")
    return model.float()


def _with_adapter(model: Any, folder: str, problems: list[str]) -> torch.nn.Module:
    adapted = PeftModel.from_pretrained(model, folder)
    loaded = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    with safe_open(f"{folder}/adapter_model.safetensors", "pt") as stored:
        names = set(stored.keys())
    if loaded != names:
        problems.append(f"the adapter's tensors do not match: {sorted(loaded ^ names)[:3]}")
    return adapted


if __name__ == "__main__":
    main()
