"""Single questions to a base, to an adapter on it, or to both."""

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
from animelm.model.checkpoint.hub import check_vocabulary
from animelm.model.lora.adapters import load_adapter
from animelm.model.lora.files import read_ancestry
from animelm.model.precision import ComputeType
from animelm.model.quantization.linear4bit import Quantization


@dataclass
class AskSettings:
    """Who is asked, and how.

    Args:
        base: Checkpoint folder or hub id of the base model.
        adapter: Folder of an adapter that a fit has written. Without one the base answers.
        compare: Let the base answer as well, beside the adapter.
        answer_from: Where the prompt ends. final: where the answer begins, as fine-tuning has it.
            start: where the assistant's turn begins, so that gpt-oss may think first. auto: final
            for an adapter that went through fine-tuning (sft in its ancestry), else start. Bases
            whose chat format has no channels know no difference.
        max_new_tokens: Longest answer in tokens.
        max_thinking_tokens: Tokens on top of these for a model that may think first.
        quantization: as in training, or none for a base held in the compute type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.

    Raises:
        UserError: compare is set without an adapter, or a limit has no meaning.
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
            raise UserError("--compare sets an adapter beside its base; name it with --adapter")
        if self.max_new_tokens < 1 or self.max_thinking_tokens < 0:
            raise UserError(
                f"max_new_tokens is {self.max_new_tokens} and max_thinking_tokens "
                f"{self.max_thinking_tokens}; expected 1 or more and 0 or more"
            )


class AskedModels:
    """The models that answer; the base is loaded once for all of them.

    Args:
        settings: which, and how they are asked.

    Attributes:
        names: "base", "adapter", or both in this order.

    Raises:
        UserError: the base or the adapter is missing, malformed, or they do not fit.
    """

    def __init__(self, settings: AskSettings) -> None:
        folder = settings.adapter
        if folder is not None and not folder.is_dir():  # told before the base is loaded
            raise UserError(f"{folder}: no such folder; expected an adapter that a fit has written")
        self._settings = settings
        tokenizer = load_tokenizer(settings.base)
        check_vocabulary(tokenizer, settings.base)
        self._chat = ChatFormat(tokenizer)
        base = load_for_inference(settings.base, settings.quantization, settings.compute_type)
        self._model: CausalModel = load_adapter(base, folder, trainable=False) if folder else base
        ancestry = read_ancestry(folder) if folder else []
        self._fine_tuned = any(step.get("step") == "sft" for step in ancestry)
        self.names = ["base"] if folder is None or settings.compare else []
        self.names += ["adapter"] if folder else []

    def answer(self, name: str, question: str, show: Callable[[Reply], object]) -> Reply:
        """The reply of one model; ``show`` sees it as it grows."""
        settings, adapted = self._settings, name == "adapter"
        answer_from = resolve_answer_from(settings.answer_from, adapted and self._fine_tuned)
        bare = isinstance(self._model, PeftModel) and not adapted
        with self._model.disable_adapter() if bare else nullcontext():  # type: ignore[operator]
            return stream_reply(
                self._model,
                self._chat,
                question,
                answer_from,
                settings.max_new_tokens,
                settings.max_thinking_tokens,
                show,
            )
