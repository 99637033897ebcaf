"""Whether an export answers as the adapter does: the same questions, asked of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from animelm.evaluate.generate import load_for_inference
from animelm.export.process import StockFailure, ask_stock_model
from animelm.export.questions import CheckQuestions, Scored
from animelm.export.settings import ExportFormat
from animelm.export.stock.measuring import Measured, measure
from animelm.model.lora.adapters import load_adapter
from animelm.model.quantization.linear4bit import Quantization

# The adapter as it is gives the same products in another order.
_SAME_ANSWERS, _LOGIT_DIFFERENCE = 0.99, 1e-3
# Weights that are rounded to 16 bits.
_ACCURACY_DIFFERENCE, _LOSS_GAIN = 0.01, 0.95
# Weights that are rounded to 4 bits, or put on other ones.
_WARNED_GAIN, _LOST_GAIN = 0.9, 0.5
# A training that moved the loss by less leaves nothing to compare, in nats.
_LEAST_CHANGE = 1e-3


@dataclass(frozen=True)
class Before:
    """What the base and the adapter answered here.

    Attributes:
        base: answers of the base alone.
        adapter: answers with the adapter.
        measured: the adapter's tokens and logits.
    """

    base: Scored
    adapter: Scored
    measured: Measured


@dataclass(frozen=True)
class CheckResult:
    """An export compared with the adapter.

    Attributes:
        tool: what opened the export.
        questions: how many were asked.
        same_answers: share of answers that are the same text.
        largest_logit_difference: over the expected answers to some questions.
        accuracy_base, accuracy_adapter, accuracy_export: key accuracy.
        gain_kept: share of the adapter's gain in key accuracy that the export has; None without a
            gain.
        loss_gain_kept: the same of the expected answers' loss.
        failures: why the export must not be used; empty for a good one.
        warnings: what its user should know.
    """

    tool: str
    questions: int
    same_answers: float
    largest_logit_difference: float
    accuracy_base: float
    accuracy_adapter: float
    accuracy_export: float
    gain_kept: float | None
    loss_gain_kept: float | None
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def ask_before(
    base: str, quantization: Quantization, adapter: Path, questions: CheckQuestions
) -> Before:
    """Asks the base and the adapter here, on the weights that the adapter was trained against."""
    model = load_adapter(load_for_inference(base, quantization, "float32"), adapter, False)
    with model.disable_adapter():  # type: ignore[operator]
        alone = questions.score(measure(model, questions.questions))
    measured = measure(model, questions.questions)
    return Before(alone, questions.score(measured), measured)


def check_export(
    script: str,
    model: Path,
    adapter: Path | None,
    questions: CheckQuestions,
    before: Before,
    exact: bool,
    kind: ExportFormat,
) -> CheckResult:
    """Asks the export with a stock tool, and compares.

    Args:
        script: of ``animelm.export.stock``, which opens the export.
        model: checkpoint folder or file.
        adapter: folder of an adapter on it, or None.
        questions: what to ask.
        before: what was answered here.
        exact: whether nothing but 16-bit rounding lies between export and adapter.
        kind: format of the export.
    """
    try:
        after, tokens, problems = ask_stock_model(
            script, model, adapter, questions.questions, questions.texts
        )
    except StockFailure as failure:
        return _failed(script, questions, before, str(failure))
    scored = questions.score(after)
    failures = list(problems)
    if tokens != questions.text_tokens:
        failures.append("its tokenizer gives other tokens than the base's")
    same = sum(map(str.__eq__, scored.outputs, before.adapter.outputs)) / len(scored.outputs)
    difference = _largest_difference(after.logits, before.measured.logits)
    gain = _kept(before.base.accuracy, before.adapter.accuracy, scored.accuracy, 0.0)
    loss_gain = _kept(before.base.loss, before.adapter.loss, scored.loss, _LEAST_CHANGE)
    warnings: list[str] = []
    if kind == "peft" and exact:
        if same < _SAME_ANSWERS:
            failures.append(f"only {same:.3f} of the answers are the same")
        if not difference <= _LOGIT_DIFFERENCE:
            failures.append(f"logits differ by {difference:.2g}")
    elif exact:
        allowed = max(_ACCURACY_DIFFERENCE, 1 / len(scored.outputs))
        if abs(scored.accuracy - before.adapter.accuracy) > allowed:
            found, expected = scored.accuracy, before.adapter.accuracy
            failures.append(f"key accuracy is {found:.3f}, the adapter's {expected:.3f}")
        if loss_gain is not None and not _LOSS_GAIN <= loss_gain <= 2 - _LOSS_GAIN:
            failures.append(f"its loss has {loss_gain:.3f} of the training's gain")
    for share, name in ((gain, "key accuracy"), (loss_gain, "loss")):
        if share is None or exact:
            continue
        if share < _LOST_GAIN:
            failures.append(f"only {share:.2f} of the training's gain in {name} is left")
        elif share < _WARNED_GAIN:
            warnings.append(f"{share:.2f} of the training's gain in {name} is left")
    return CheckResult(
        tool=script.removesuffix("_answers.py"),
        questions=len(scored.outputs),
        same_answers=same,
        largest_logit_difference=difference,
        accuracy_base=before.base.accuracy,
        accuracy_adapter=before.adapter.accuracy,
        accuracy_export=scored.accuracy,
        gain_kept=gain,
        loss_gain_kept=loss_gain,
        failures=tuple(failures),
        warnings=tuple(warnings),
    )


def _failed(script: str, questions: CheckQuestions, before: Before, reason: str) -> CheckResult:
    nan = float("nan")
    return CheckResult(
        tool=script.removesuffix("_answers.py"),
        questions=len(questions.records),
        same_answers=0.0,
        largest_logit_difference=nan,
        accuracy_base=before.base.accuracy,
        accuracy_adapter=before.adapter.accuracy,
        accuracy_export=nan,
        gain_kept=None,
        loss_gain_kept=None,
        failures=(f"it cannot be opened: {reason}",),
    )


def _kept(base: float, adapter: float, export: float, least: float) -> float | None:
    """Share of the change from base to adapter that the export has."""
    change = adapter - base
    return (export - base) / change if abs(change) > least else None


def _largest_difference(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    return max(
        (float((a - b).abs().max()) for a, b in zip(first, second, strict=True)),
        default=float("nan"),
    )
