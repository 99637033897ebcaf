"""A gpt-oss small enough to train in a test, and what a trainer needs around it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from peft import LoraConfig, get_peft_model
from tiny_gpt_oss import tiny_gpt_oss
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.data import DataLoader
from transformers import GptOssForCausalLM, PreTrainedTokenizerFast

from animelm.data.batches.batch import IGNORED, PackedBatch

LAYERS, EXPERTS, CHOSEN, VOCABULARY = 2, 4, 2, 64
CONTROL = "<|end|>"
PROBE = {"anime": "アニメの主人公は誰", "general": "川は海に注ぐ"}


def tiny_model(seed: int = 0) -> GptOssForCausalLM:
    torch.manual_seed(seed)
    config = tiny_gpt_oss(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=LAYERS,
        num_local_experts=EXPERTS,
        num_experts_per_tok=CHOSEN,
        head_dim=8,
        max_position_embeddings=128,
        attn_implementation="eager",
    )
    model = GptOssForCausalLM(config)
    for layer in model.model.layers:  # spread the logits, so that the load is uneven
        torch.nn.init.normal_(layer.mlp.router.weight, std=0.5)
        torch.nn.init.normal_(layer.mlp.router.bias, std=0.5)
    return model


def adapted_model(**settings: Any) -> torch.nn.Module:
    lora = LoraConfig(r=4, target_modules=["q_proj", "o_proj"], init_lora_weights=False, **settings)
    return get_peft_model(tiny_model(), lora)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    signs = sorted(set("".join(PROBE.values()) + CONTROL))
    vocabulary = {sign: number for number, sign in enumerate(["?", CONTROL, *signs])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?")
    wrapped.add_special_tokens({"additional_special_tokens": [CONTROL]})
    return wrapped


def make_batch(seed: int, blocks: int = 2, size: int = 16, padding: int = 3) -> PackedBatch:
    draw = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(1, VOCABULARY, (blocks, size), generator=draw)
    is_padding = torch.zeros(blocks, size, dtype=torch.bool)
    is_padding[0, size - padding :] = padding > 0
    input_ids[is_padding] = 0
    targets = input_ids.roll(-1, 1)
    targets[:, -1] = IGNORED
    targets[is_padding | is_padding.roll(-1, 1)] = IGNORED
    position_ids = torch.arange(size).expand(blocks, size).clone()
    return PackedBatch(input_ids, position_ids, targets, is_padding)


class TinyModule(pl.LightningModule):
    """Trains ``model``; ``learning_rate`` 0 keeps the routers' choices as they are."""

    def __init__(self, model: torch.nn.Module | None = None, learning_rate: float = 0.0) -> None:
        super().__init__()
        self.model = tiny_model() if model is None else model
        self.tokenizer = tiny_tokenizer()
        self.learning_rate = learning_rate

    def training_step(self, batch: PackedBatch, batch_idx: int) -> torch.Tensor:
        logits = self.model(input_ids=batch.input_ids, position_ids=batch.position_ids).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED
        )
        self.log("train/loss", loss, batch_size=1)
        return loss

    def validation_step(self, batch: PackedBatch, batch_idx: int) -> None:
        self.model(input_ids=batch.input_ids, position_ids=batch.position_ids)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            [weight for weight in self.parameters() if weight.requires_grad], lr=self.learning_rate
        )

    def save_adapter(self, folder: Path, steps: int) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "adapter_model.safetensors").write_text(f"step {steps}")


def loader(batches: list[PackedBatch]) -> DataLoader:
    return DataLoader(batches, batch_size=None, shuffle=False)


def make_trainer(folder: Path, callbacks: Iterable[Callback], **settings: Any) -> pl.Trainer:
    defaults: dict[str, Any] = dict(
        accelerator="cpu",
        max_epochs=1,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    return pl.Trainer(callbacks=list(callbacks), **(defaults | settings))
