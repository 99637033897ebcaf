"""Answers to batches of questions, generated greedily by stock transformers with a KV cache."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from animelm.data.batch import QuestionBatch
from animelm.data.prompts import ChatFormat
from animelm.data.qa import QARecord

CausalModel = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Answer:
    """A generated answer.

    Attributes:
        record: the question that was asked.
        held_out_set: the set that the question came from.
        output: the generated text, without control tokens.
        reached_end: whether the model ended its answer itself, before ``max_new_tokens``.
    """

    record: QARecord
    held_out_set: str
    output: str
    reached_end: bool


def answer_questions(
    model: CausalModel,
    tokenizer: PreTrainedTokenizerBase,
    batches: Iterable[QuestionBatch],
    max_new_tokens: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Iterator[Answer]:
    """Answers every question, one call of ``model.generate`` a batch, in the batches' order.

    A batch ends as soon as all its answers have; questions of similar length in a batch, as the
    data room hands them out, waste least. The model is put in evaluation mode for each batch and
    back after it.

    Args:
        model: on the device where it shall run; with adapters, the active one answers.
        tokenizer: the model's own.
        batches: left-padded prompts.
        max_new_tokens: the longest answer in tokens. One number for all questions: a cap taken from
            the expected answer would give its length away.
        progress: called after each batch with the number of its questions.
    """
    chat = ChatFormat(tokenizer)
    # A base may carry sampling settings of its own; a fresh configuration ignores them.
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        eos_token_id=[chat.end_token_id, chat.document_end_token_id],
        pad_token_id=chat.pad_token_id,
    )
    for batch in batches:
        for record, tokens in zip(batch.records, _generate(model, batch, settings), strict=True):
            kept, reached_end = _until_end(tokens, chat)
            output = str(tokenizer.decode(kept, skip_special_tokens=True)).strip()
            yield Answer(record, batch.held_out_set, output, reached_end)
        if progress is not None:
            progress(len(batch.records))


@torch.inference_mode()
def _generate(
    model: CausalModel, batch: QuestionBatch, settings: GenerationConfig
) -> list[list[int]]:
    """The tokens after each prompt, padding included."""
    prompts = batch.input_ids.to(model.device)  # [B, L]
    was_training = model.training
    model.eval()  # dropout off; and activation checkpointing, which would switch the cache off
    try:
        generate = cast(Callable[..., Tensor], model.generate)
        generated = generate(
            input_ids=prompts,
            attention_mask=batch.attention_mask.to(model.device),
            generation_config=settings,
        )
    finally:
        model.train(was_training)
    return generated[:, prompts.shape[1] :].tolist()


def _until_end(tokens: list[int], chat: ChatFormat) -> tuple[list[int], bool]:
    """The tokens before the first stop token, and whether that is the answer's own end."""
    for position, token in enumerate(tokens):
        if token in (chat.end_token_id, chat.document_end_token_id):
            return tokens[:position], token == chat.end_token_id
    return tokens, False
