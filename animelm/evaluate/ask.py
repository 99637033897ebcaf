"""Asks single questions of a base, of an adapter on it, or of both."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel

from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
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
        max_new_tokens: Maximum length of an answer in tokens.
        max_thinking_tokens: Additional tokens for a model that can think first.
        quantization: Format of the base's weights, as in training; none keeps them in the compute
            type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.

    Raises:
        UserError: compare is set without an adapter, or a limit is out of range.
    """

    base: str
    adapter: Path | None = None
    compare: bool = False
    answer_from: AnswerFromSetting = "auto"
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

    def answer(self, name: str, question: str, show: Callable[[Reply], object]) -> Reply:
        """Generates the reply of one model; ``show`` is called with the reply after each token."""
        settings, adapted = self._settings, name == "adapter"
        answer_from = resolve_answer_from(settings.answer_from, adapted and self._fine_tuned)
        model = self._models[name]
        bare = isinstance(model, PeftModel) and not adapted
        with model.disable_adapter() if bare else nullcontext():  # type: ignore[operator]
            return stream_reply(
                model,
                self._chat,
                question,
                answer_from,
                settings.max_new_tokens,
                settings.max_thinking_tokens,
                show,
            )
