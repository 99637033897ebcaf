"""Asks a causal language model questions, and measures its logits on given answers.

The same functions measure the model here and, in a process of its own, the exported one: this file
imports nothing but torch.

Legend: B prompts, S tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Questions:
    """What a model is asked. ``dataclasses.asdict`` gives plain JSON values.

    Attributes:
        prompts: token ids of each prompt.
        answer_prompts: the same, each up to where the expected answer follows.
        answers: token ids of each expected answer, with its end token.
        stop: tokens that end an answer.
        pad: a token that fills batches.
        max_new_tokens: longest answer.
        batch: prompts asked at once.
        compared: how many answers' logits are kept, the first ones.
    """

    prompts: list[list[int]]
    answer_prompts: list[list[int]]
    answers: list[list[int]]
    stop: list[int]
    pad: int
    max_new_tokens: int
    batch: int
    compared: int


@dataclass(frozen=True)
class Measured:
    """What a model answered.

    Attributes:
        replies: generated token ids for each prompt, up to the first token that ends an answer; or
            their text, where a tool gives no token ids.
        losses: mean loss of each expected answer's tokens, in nats.
        logits: float32 [answer, vocabulary] where the compared answers are predicted.
    """

    replies: list[list[int] | str]
    losses: list[float]
    logits: list[Tensor]


@torch.no_grad()
def measure(model: Any, questions: Questions) -> Measured:
    """Answers greedily, and measures loss and logits of the expected answers."""
    order = sorted(range(len(questions.prompts)), key=lambda i: len(questions.prompts[i]))
    replies: list[list[int] | str] = [[] for _ in order]
    losses = [0.0 for _ in order]
    logits: dict[int, Tensor] = {}
    for first in range(0, len(order), questions.batch):
        chosen = order[first : first + questions.batch]
        prompts = [questions.prompts[i] for i in chosen]
        for i, reply in zip(chosen, _generate(model, prompts, questions), strict=True):
            replies[i] = reply
    # Fewer at once, because logits are kept for each position.
    few = max(1, questions.batch // 8)
    for first in range(0, len(order), few):
        chosen = order[first : first + few]
        pairs = [(questions.answer_prompts[i], questions.answers[i]) for i in chosen]
        for i, found in zip(chosen, _answer_logits(model, pairs, questions.pad), strict=True):
            target = torch.tensor(questions.answers[i])
            losses[i] = float(torch.nn.functional.cross_entropy(found, target))
            if i < questions.compared:
                logits[i] = found.clone()
    return Measured(replies, losses, [logits[i] for i in sorted(logits)])


def _generate(
    model: Any, prompts: Sequence[Sequence[int]], questions: Questions
) -> list[list[int]]:
    longest = max(map(len, prompts))
    padded = [[questions.pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    generated = model.generate(
        input_ids=torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        max_new_tokens=questions.max_new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=questions.stop,
        pad_token_id=questions.pad,
    )
    return [_until(tokens, questions.stop) for tokens in generated[:, longest:].tolist()]


def _until(tokens: list[int], stop: Sequence[int]) -> list[int]:
    end = next((i + 1 for i, token in enumerate(tokens) if token in stop), len(tokens))
    return tokens[:end]


def _answer_logits(
    model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int
) -> Iterator[Tensor]:
    """Float32 [answer, vocabulary] for each pair, at the positions that predict the answer."""
    longest = max(len(prompt) + len(answer) for prompt, answer in pairs)
    rows, masks = [], []
    for prompt, answer in pairs:
        missing = longest - len(prompt) - len(answer)
        rows.append([*prompt, *answer, *[pad] * missing])
        masks.append([1] * (longest - missing) + [0] * missing)
    ids, mask = (torch.tensor(values, device=model.device) for values in (rows, masks))
    found = model(input_ids=ids, attention_mask=mask).logits
    for row, (prompt, answer) in zip(found, pairs, strict=True):
        yield row[len(prompt) - 1 : len(prompt) + len(answer) - 1].float().cpu()
