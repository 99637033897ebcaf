"""Answers to questions, generated greedily by stock transformers with a KV cache."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from animelm.data.batches.batch import QuestionBatch
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.evaluate.harmony import Reply, ReplyReader, read_reply, stop_tokens
from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.load import load_base, load_config
from animelm.model.precision import ComputeType, choose_compute_dtype
from animelm.model.quantization.linear4bit import Quantization

CausalModel = PreTrainedModel | PeftModel


def load_for_inference(
    base: str, quantization: Quantization, compute_type: ComputeType
) -> CausalLM:
    """Loads a base onto the GPU if there is one, else into main memory.

    Raises:
        UserError: as ``load_base``.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = load_config(base)
    dtype = choose_compute_dtype(compute_type, device, config.hidden_size, config.intermediate_size)
    model = load_base(base, quantization, dtype)
    nn.Module.to(model, device)
    return model


@dataclass(frozen=True)
class Answer:
    """A generated answer.

    Attributes:
        record: the question that was asked.
        held_out_set: the set that the question came from.
        output: the generated text, without control tokens. Of gpt-oss it is the final channel
            alone, and empty where that was not reached, which every score counts as wrong.
        reached_end: whether the model ended its answer itself, before ``max_new_tokens``.
        reached_final: whether it began an answer at all, within its tokens for thinking.
    """

    record: QARecord
    held_out_set: str
    output: str
    reached_end: bool
    reached_final: bool = True


def answer_questions(
    model: CausalModel,
    tokenizer: PreTrainedTokenizerBase,
    batches: Iterable[QuestionBatch],
    max_new_tokens: int = 64,
    progress: Callable[[int], object] | None = None,
    max_thinking_tokens: int = 512,
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
        max_thinking_tokens: tokens on top of these for a model that is prompted before its answer
            begins, for its thoughts and the tokens between messages.
    """
    chat = ChatFormat(tokenizer)
    for batch in batches:
        prompts = batch.input_ids.tolist()
        in_answer = ReplyReader(chat, prompts[0], max_new_tokens).in_answer
        settings = _settings(chat, in_answer, max_new_tokens, max_thinking_tokens)
        generated = _generate(model, batch.input_ids, batch.attention_mask, settings)
        for record, prompt, tokens in zip(batch.records, prompts, generated, strict=True):
            reply = read_reply(chat, prompt, tokens, max_new_tokens)
            yield Answer(
                record, batch.held_out_set, reply.output, reply.reached_end, reply.reached_final
            )
        if progress is not None:
            progress(len(batch.records))


def stream_reply(
    model: CausalModel,
    chat: ChatFormat,
    question: str,
    answer_from: AnswerFrom,
    max_new_tokens: int,
    max_thinking_tokens: int,
    show: Callable[[Reply], object],
) -> Reply:
    """Answers one question as ``answer_questions`` does; ``show`` sees the reply as it grows."""
    prompt = chat.encode_prompt(question, answer_from)
    reader = ReplyReader(chat, prompt, max_new_tokens)
    settings = _settings(chat, reader.in_answer, max_new_tokens, max_thinking_tokens)
    input_ids = torch.tensor([prompt])
    streamer = _ReplyStreamer(reader, show)
    _generate(model, input_ids, torch.ones_like(input_ids), settings, streamer)
    return reader.reply()


class _ReplyStreamer(BaseStreamer):
    """Receives tokens from ``model.generate``: first the prompt's, then one at a time."""

    def __init__(self, reader: ReplyReader, show: Callable[[Reply], object]) -> None:
        self._reader, self._show = reader, show
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        if self._prompt_seen:
            for token in value.flatten().tolist():
                self._reader.add(token)
            self._show(self._reader.reply())
        self._prompt_seen = True

    def end(self) -> None:
        pass


def _settings(
    chat: ChatFormat, in_answer: bool, max_new_tokens: int, max_thinking_tokens: int
) -> GenerationConfig:
    # A base may carry sampling settings of its own; a fresh configuration ignores them.
    return GenerationConfig(
        max_new_tokens=max_new_tokens + (0 if in_answer else max_thinking_tokens),
        do_sample=False,
        num_beams=1,
        use_cache=True,
        eos_token_id=stop_tokens(chat, in_answer),
        pad_token_id=chat.pad_token_id,
    )


@torch.no_grad()  # not inference_mode: what FSDP2 gathers in it would be unfit for training
def _generate(
    model: CausalModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    settings: GenerationConfig,
    streamer: BaseStreamer | None = None,
) -> list[list[int]]:
    """The tokens after each prompt, padding included."""
    was_training = model.training
    model.eval()  # dropout off; and activation checkpointing, which would switch the cache off
    try:
        generate = cast(Callable[..., Tensor], model.generate)
        generated = generate(
            input_ids=input_ids.to(model.device),
            attention_mask=attention_mask.to(model.device),
            generation_config=settings,
            **({} if streamer is None else {"streamer": streamer}),
        )
    finally:
        model.train(was_training)
    return generated[:, input_ids.shape[1] :].tolist()
