"""Answers to questions, generated greedily with a KV cache."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from animelm.data.batches.batch import QuestionBatch
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import ChatFormat
from animelm.errors import UserError
from animelm.evaluate.decoding.greedy import CausalModel, generate_greedily
from animelm.evaluate.decoding.sampling import Sampling
from animelm.evaluate.harmony import Reply, ReplyReader, read_reply, stop_tokens
from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.load import load_base, load_config
from animelm.model.precision import ComputeType, choose_compute_dtype
from animelm.model.quantization.linear4bit import Quantization


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
        record: the record of the question.
        held_out_set: the set of the question.
        output: the generated text, without control tokens. For gpt-oss, the final channel alone;
            empty if it was not reached, which every score counts as wrong.
        reached_end: whether the model ended its answer itself, within ``max_new_tokens``.
        reached_final: whether it began an answer within its tokens for thinking.
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
    """Answers every question in order, batch by batch.

    The model is in evaluation mode during a batch, and in its former mode afterwards.

    Args:
        model: the model, on its device; with adapters, the active one is used.
        tokenizer: the tokenizer of the model.
        batches: left-padded prompts.
        max_new_tokens: maximum length of an answer in tokens, the same for all questions: a limit
            taken from the expected answer would leak its length.
        progress: called after each batch with its number of questions.
        max_thinking_tokens: additional tokens for prompts that end before the answer begins, for
            thinking and the tokens between messages.
    """
    chat = ChatFormat(tokenizer)
    for batch in batches:
        prompts = [
            row[mask.bool()].tolist()
            for row, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
        ]
        in_answer = ReplyReader(chat, prompts[0], max_new_tokens).in_answer
        longest = max_new_tokens + (0 if in_answer else max_thinking_tokens)
        stop = stop_tokens(chat, in_answer)
        with _evaluating(model):
            if getattr(model, "_is_fsdp_managed_module", False):
                # Processes that share a model must take the same number of steps; stock does.
                settings = _settings(chat, stop, longest)
                generated = _generate(model, batch.input_ids, batch.attention_mask, settings)
            else:
                generated = generate_greedily(model, prompts, stop, longest)
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
    prompt: Sequence[int],
    max_new_tokens: int,
    max_thinking_tokens: int,
    show: Callable[[Reply], object],
    sampling: Sampling | None = None,
) -> Reply:
    """Answers one prompt like ``answer_questions``; calls ``show`` after each token.

    With ``sampling``, tokens are drawn instead of the likeliest being taken.

    Raises:
        UserError: the model cannot read so long a prompt.
    """
    room = model.config.max_position_embeddings - len(prompt)
    if room < 1:
        raise UserError(
            f"the conversation has {len(prompt):,} tokens with its chat format, and the model "
            f"reads {len(prompt) + room:,}; ask a shorter question, or start afresh"
        )
    reader = ReplyReader(chat, prompt, max_new_tokens)
    longest = min(room, max_new_tokens + (0 if reader.in_answer else max_thinking_tokens))
    settings = _settings(chat, stop_tokens(chat, reader.in_answer), longest)
    if sampling is not None:
        settings.update(
            do_sample=True, temperature=sampling.temperature, top_p=sampling.top_p, top_k=0
        )
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
    input_ids = torch.tensor([list(prompt)])
    streamer = _ReplyStreamer(reader, show)
    with _evaluating(model):
        _generate(model, input_ids, torch.ones_like(input_ids), settings, streamer)
    return reader.reply()


class _ReplyStreamer(BaseStreamer):
    """Receives the tokens of ``model.generate``: first the prompt, then one at a time."""

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


@contextmanager
def _evaluating(model: CausalModel) -> Iterator[None]:
    """Evaluation mode: no dropout, and no activation checkpointing, which disables the cache."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _settings(chat: ChatFormat, stop: list[int], longest: int) -> GenerationConfig:
    # A new configuration ignores the sampling settings that a base may come with.
    return GenerationConfig(
        max_new_tokens=longest,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        eos_token_id=stop,
        pad_token_id=chat.pad_token_id,
    )


@torch.no_grad()  # not inference_mode: tensors that FSDP2 gathers in it cannot be trained
def _generate(
    model: CausalModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    settings: GenerationConfig,
    streamer: BaseStreamer | None = None,
) -> list[list[int]]:
    """The tokens after each prompt, including padding."""
    generate = cast(Callable[..., Tensor], model.generate)
    generated = generate(
        input_ids=input_ids.to(model.device),
        attention_mask=attention_mask.to(model.device),
        generation_config=settings,
        **({} if streamer is None else {"streamer": streamer}),
    )
    return generated[:, input_ids.shape[1] :].tolist()
