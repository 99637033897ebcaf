"""A bare PyTorch loop over stock transformers and PEFT, without a trainer's overhead."""

import torch
from peft import get_peft_model
from torch import Tensor

from training_speed_parts.checkpoint import PAD_TOKEN_ID
from training_speed_parts.clock import StepClock
from training_speed_parts.documents import Documents, load_steps, token_count
from training_speed_parts.setting import Measured, Peer
from training_speed_parts.stock import lora_config, stock_model

_IGNORED = -100


def _padded(documents: Documents) -> dict[str, Tensor]:
    """input_ids, attention_mask and labels [B, L] of documents, padded at the right."""
    rows = [torch.from_numpy(document) for document in documents]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD_TOKEN_ID)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    return {
        "input_ids": ids,
        "attention_mask": mask.long(),
        "labels": ids.masked_fill(~mask, _IGNORED),
    }


def _flattened(documents: Documents) -> dict[str, Tensor]:
    """One sequence [1, T] whose positions restart with each document."""
    labels = [torch.from_numpy(document).clone() for document in documents]
    for label in labels:
        label[0] = _IGNORED  # nothing before it predicts it
    return {
        "input_ids": torch.cat([torch.from_numpy(document) for document in documents])[None],
        "position_ids": torch.cat([torch.arange(len(document)) for document in documents])[None],
        "labels": torch.cat(labels)[None],
    }


def run_loop(peer: Peer, clock: StepClock) -> Measured:
    """Trains in this process and returns what was measured."""
    clock.imports_ended()
    run = clock.run
    torch.manual_seed(0)
    model = get_peft_model(stock_model(run, peer), lora_config(peer))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=run.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
    )
    collate = _padded if peer.layout == "padded" else _flattened
    steps = load_steps(run.documents, clock.total_steps)
    clock.tokens = list(map(token_count, steps))
    for step in steps:
        targets = token_count(step) - len(step)
        total = 0.0
        for begin in range(0, len(step), peer.micro_batch):
            batch = collate(step[begin : begin + peer.micro_batch])
            loss = model(**batch, num_items_in_batch=targets, use_cache=False).loss
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.losses.append(total)
        clock.step_ended()
    return clock.result()
