"""An adapter for stock transformers with PEFT, and for vLLM."""

from pathlib import Path

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from transformers import GptOssConfig

from animelm.export.companions import copy_tokenizer
from animelm.export.composed import ComposedAdapter, LowRank
from animelm.files import give_usual_permissions
from animelm.model.checkpoint.hub import load_config
from animelm.model.lora.files import WEIGHTS_FILE
from animelm.model.lora.fused_layout import fuse_experts, fused_targets
from animelm.shipped import find_shipped


def write_peft(base: str, adapter: ComposedAdapter, folder: Path) -> None:
    """Writes the adapter as one, with experts fused, and the tokenizer beside it.

    Args:
        base: that it was trained on.
        adapter: A and B of each layer.
        folder: where to write.
    """
    config = load_config(base)
    pairs = _both_projections(adapter) if isinstance(config, GptOssConfig) else adapter.pairs
    weights = {
        f"base_model.model.{path}.lora_{part}.weight": tensor.contiguous()
        for path, pair in pairs.items()
        for part, tensor in zip("AB", pair, strict=True)
    }
    modules, parameters = fused_targets(weights, config.num_hidden_layers)
    local = find_shipped(Path(base))
    lora = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        target_modules=modules,
        target_parameters=parameters or None,
        task_type="CAUSAL_LM",
        inference_mode=True,
        base_model_name_or_path=str(local.resolve()) if local.is_dir() else base,
    )
    lora.save_pretrained(str(folder))
    save_file(fuse_experts(weights), folder / WEIGHTS_FILE, metadata={"format": "pt"})
    give_usual_permissions(folder / WEIGHTS_FILE)
    copy_tokenizer(base, folder)


def _both_projections(adapter: ComposedAdapter) -> dict[str, LowRank]:
    """The pairs, with updates of zero where only one of an expert's projections is adapted.

    vLLM reads adapters of both or of none.
    """
    pairs = dict(adapter.pairs)
    for path, pair in adapter.pairs.items():
        if ".down_projs." in path:
            other = path.replace(".down_projs.", ".gate_up_projs.")
            inputs, outputs = pair.b.shape[0], 2 * pair.a.shape[1]
        elif ".gate_up_projs." in path:
            other = path.replace(".gate_up_projs.", ".down_projs.")
            inputs, outputs = pair.b.shape[0] // 2, pair.a.shape[1]
        else:
            continue
        if other not in pairs:
            pairs[other] = LowRank(
                torch.zeros(adapter.rank, inputs), torch.zeros(outputs, adapter.rank)
            )
    return pairs
