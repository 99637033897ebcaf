"""TRL's SFTTrainer over stock transformers and PEFT."""

import tempfile
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer

from training_speed_parts.clock import StepClock
from training_speed_parts.documents import Documents, load_steps, token_count
from training_speed_parts.setting import Measured, Peer, Run
from training_speed_parts.stock import lora_config, stock_model

_PACKED_LENGTH = 1024


class _Watch(TrainerCallback):
    """Feeds the clock from the trainer's own log, which counts tokens without padding."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock
        self._seen = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.clock.step_ended()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.clock.losses.append(float(logs["loss"]))
            self.clock.tokens.append(int(logs["num_tokens"]) - self._seen)
            self._seen = int(logs["num_tokens"])


def _arguments(run: Run, peer: Peer, accumulation: int, steps: int, folder: str) -> SFTConfig:
    layout: dict[str, Any] = {"max_length": None}
    if peer.layout == "flattened":
        layout["padding_free"] = True
    elif peer.layout == "packed":
        layout = {"max_length": _PACKED_LENGTH, "packing": True, "packing_strategy": "bfd_split"}
    return SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=peer.micro_batch,
        gradient_accumulation_steps=accumulation,
        max_steps=steps,
        # The data come in the order of the steps, longest document first in each.
        train_sampling_strategy="sequential",
        learning_rate=run.learning_rate,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        adam_beta2=0.99,
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=False,  # the weights have the type that is measured; no autocast
        gradient_checkpointing=False,  # TRL's default costs a second forward pass
        router_aux_loss_coef=0.0,
        use_cpu=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=0,
        **layout,
    )


def _dataset(steps: list[Documents]) -> Dataset:
    ids = [document.tolist() for step in steps for document in step]
    return Dataset.from_dict({"input_ids": ids, "labels": ids})


def run_trl(peer: Peer, clock: StepClock) -> Measured:
    """Trains in this process and returns what was measured."""
    clock.imports_ended()
    run = clock.run
    steps = clock.total_steps
    data = load_steps(run.documents, 2 * steps)
    passes = run.documents_per_step / peer.micro_batch
    if peer.layout == "packed":  # about as many tokens a step as the others
        passes = token_count(data[0]) / _PACKED_LENGTH / peer.micro_batch
    accumulation = max(1, round(passes))
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=stock_model(run, peer),
            args=_arguments(run, peer, accumulation, steps, folder),
            train_dataset=_dataset(data),
            processing_class=PreTrainedTokenizerFast.from_pretrained(run.checkpoint),
            peft_config=lora_config(peer),
            callbacks=[_Watch(clock)],
        )
        trainer.train()
    return clock.result()
