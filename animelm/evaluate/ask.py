"""Asks single questions of a base, of an adapter on it, or of both."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from peft import PeftModel

from animelm.data.sources.formats.asked import Turn
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate.decoding.sampling import Sampling
from animelm.evaluate.generate import CausalModel, load_for_inference, stream_reply
from animelm.evaluate.harmony import Reply
from animelm.evaluate.settings import AnswerFromSetting, resolve_answer_from
from animelm.model.checkpoint.exported import whole_export
from animelm.model.checkpoint.hub import check_vocabulary
from animelm.model.lora.adapters import load_adapter
from animelm.model.lora.files import find_adapter
from animelm.model.precision import ComputeType
from animelm.model.quantization.linear4bit import Quantization
from animelm.provenance.check import require_same_base, without_record
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import read_record


@dataclass
class AskSettings:
    """The model to ask, and its settings.

    Args:
        base: Checkpoint folder or Hugging Face hub id of the base model.
        adapter: Folder of a trained adapter, of the run that wrote it, or of an export of one.
            Without it the base answers.
        compare: Let the base answer as well.
        answer_from: Where the prompt ends. final: at the beginning of the answer, as in
            fine-tuning. start: at the beginning of the assistant's turn, so that gpt-oss can think
            first. auto: final for an adapter that was fine-tuned (sft in its record), else start.
            Ignored by models without channels.
        conversation: Let each question follow the earlier ones and their answers, as far as they
            fit into the base's context.
        temperature: 0 takes the likeliest token, so that an answer is always the same. Above 0,
            tokens are drawn; 1 draws them with the model's own probabilities.
        top_p: Draw from the likeliest tokens that have this probability together.
        seed: The same seed gives the same drawn answer. null draws another one each time.
        max_new_tokens: Maximum length of an answer in tokens.
        max_thinking_tokens: Additional tokens for a model that can think first.
        quantization: Format of the base's weights, as in training; none keeps them in the compute
            type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.

    Raises:
        UserError: compare is set without an adapter, top_p or seed without a temperature, or a
            value is out of range.
    """

    base: str
    adapter: Path | None = None
    compare: bool = False
    answer_from: AnswerFromSetting = "auto"
    conversation: bool = False
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 256
    max_thinking_tokens: int = 1024
    quantization: Quantization = "nf4"
    compute_type: ComputeType = "auto"

    def __post_init__(self) -> None:
        if self.compare and self.adapter is None:
            raise UserError("--compare needs an adapter to compare with its base; give --adapter")
        if self.max_new_tokens < 1 or self.max_thinking_tokens < 0:
            raise UserError(
                f"max_new_tokens is {self.max_new_tokens} and max_thinking_tokens "
                f"{self.max_thinking_tokens}; expected 1 or more and 0 or more"
            )
        if not self.temperature and (self.top_p != 1 or self.seed is not None):
            raise UserError(
                "top_p and seed are for drawn answers; give a --temperature above 0 as well"
            )
        self.sampling()

    def sampling(self) -> Sampling | None:
        """How tokens are drawn; None takes the likeliest.

        Raises:
            UserError: a value is out of range.
        """
        if not self.temperature:
            return None
        return Sampling(self.temperature, self.top_p, self.seed)


class AskedModels:
    """The models that are asked. The base is loaded once for all of them.

    Args:
        settings: names the models.

    Attributes:
        names: "base", "adapter", or both in this order.

    Raises:
        UserError: the base or the adapter is missing or malformed, or they do not fit.
    """

    def __init__(self, settings: AskSettings) -> None:
        folder = find_adapter(settings.adapter) if settings.adapter else None
        if folder is not None and not folder.is_dir():  # before the base is loaded
            raise UserError(f"{folder}: no such folder; expected the folder of a trained adapter")
        self._settings = settings
        tokenizer = load_tokenizer(settings.base)
        check_vocabulary(tokenizer, settings.base)
        self._chat = ChatFormat(tokenizer)
        steps = read_record(folder) if folder else ()
        if folder and not steps:
            warnings.warn(without_record(folder), stacklevel=2)
        if folder and steps:
            require_same_base(folder, steps, record_base(settings.base))
        self._fine_tuned = any(step.step == "sft" for step in steps)
        self.names = ["base"] if folder is None or settings.compare else []
        self.names += ["adapter"] if folder else []
        self._models = self._load(folder)
        self._turns: dict[str, list[Turn]] = {}

    def _load(self, folder: Path | None) -> dict[str, CausalModel]:
        """Each model by its name; the base may hold the adapter."""
        settings = self._settings
        whole = whole_export(folder) if folder else None
        models: dict[str, CausalModel] = {}
        if folder and whole:
            models["adapter"] = load_for_inference(str(folder), whole, settings.compute_type)
        if "base" in self.names or not whole:
            base = load_for_inference(settings.base, settings.quantization, settings.compute_type)
            adapted: CausalModel = base
            if folder and not whole:
                adapted = load_adapter(base, folder, trainable=False)
            models = {**dict.fromkeys(self.names, adapted), **models}
        return models

    def answer(
        self, name: str, question: str, show: Callable[[Reply], object] | None = None
    ) -> Reply:
        """Generates the reply of one model.

        Args:
            name: of the model.
            question: the question; in a conversation it follows the earlier ones.
            show: called with the reply after each token, in whole characters; None where only the
                complete reply is wanted.

        Raises:
            UserError: the question is longer than the base's context.
        """
        settings, adapted = self._settings, name == "adapter"
        answer_from = resolve_answer_from(settings.answer_from, adapted and self._fine_tuned)
        model = self._models[name]
        bare = isinstance(model, PeftModel) and not adapted
        turns = [*self._turns.get(name, ()), Turn("user", question)]
        with model.disable_adapter() if bare else nullcontext():  # type: ignore[operator]
            reply = stream_reply(
                model,
                self._chat,
                self._prompt(turns, answer_from, model.config.max_position_embeddings),
                settings.max_new_tokens,
                settings.max_thinking_tokens,
                lambda reply: show(_whole_characters(reply)) if show else None,
                settings.sampling(),
            )
        reply = reply if reply.reached_end else _whole_characters(reply)
        if settings.conversation and reply.output:
            self._turns[name] = [*turns, Turn("assistant", reply.output)]
        return reply

    def forget(self) -> None:
        """Begins a new conversation."""
        self._turns.clear()

    def _prompt(self, turns: list[Turn], answer_from: AnswerFrom, context: int) -> list[int]:
        """The prompt of as many of the last turns as leave room for an answer."""
        prompt = self._chat.encode_turns(turns, answer_from)
        while len(turns) > 1 and len(prompt) + self._settings.max_new_tokens > context:
            del turns[:2]
            prompt = self._chat.encode_turns(turns, answer_from)
        if len(prompt) >= context:
            raise UserError(
                f"the question has {len(prompt):,} tokens with its prompt; expected less than "
                f"{context:,}, the context of {self._settings.base}"
            )
        return prompt


def _whole_characters(reply: Reply) -> Reply:
    """The reply without an incomplete character, whose other bytes have not been generated."""
    output, thinking = (text.rstrip("\ufffd") for text in (reply.output, reply.thinking))
    return replace(reply, output=output, thinking=thinking)
