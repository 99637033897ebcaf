"""Whether an export answers as the adapter does: the same questions, asked of both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Literal

import torch

from animelm.evaluate.generate import load_for_inference
from animelm.export.process import StockFailure, ask_stock_model
from animelm.export.questions import CheckQuestions, Scored
from animelm.export.stock.measuring import Measured, measure
from animelm.model.lora.adapters import load_adapter
from animelm.model.quantization.linear4bit import Quantization

Tool = Literal["transformers", "llama_cpp"]
Precision = Literal["same", "16 bits", "other weights"]
"""What lies between an adapter and its export: nothing, rounding to 16 bits, or other weights."""

# The adapter as it is gives the same products in another order.
_SAME_ANSWERS, _LOGIT_DIFFERENCE = 0.99, 1e-3
# Weights that are rounded to 16 bits.
_ACCURACY_LOSS, _LOSS_GAIN = 0.01, 0.95
# llama.cpp rounds the inputs of its products as well.
_LLAMA_CPP_ACCURACY_LOSS = 0.02
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
    """An export compared with the adapter. None stands for what the tool does not give.

    Attributes:
        tool: what opened the export.
        questions: how many were asked.
        accuracy_base, accuracy_adapter, accuracy_export: key accuracy.
        same_answers: share of answers that are the same text.
        largest_logit_difference: over the expected answers to some questions.
        gain_kept: share of the adapter's gain in key accuracy that the export has.
        loss_gain_kept: the same of the expected answers' loss.
        failures: why the export must not be used; empty for a good one.
        warnings: what its user should know.
    """

    tool: str
    questions: int
    accuracy_base: float
    accuracy_adapter: float
    accuracy_export: float | None = None
    same_answers: float | None = None
    largest_logit_difference: float | None = None
    gain_kept: float | None = None
    loss_gain_kept: float | None = None
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def ask_before(
    base: str, quantization: Quantization, adapter: Path, questions: CheckQuestions
) -> Before:
    """Asks the base and the adapter here, on the weights that the adapter was trained against."""
    model = load_adapter(load_for_inference(base, quantization, "float32"), adapter, False)
    with model.disable_adapter():
        alone = questions.score(measure(model, questions.questions))
    measured = measure(model, questions.questions)
    return Before(alone, questions.score(measured), measured)


def unopened(tool: str, questions: CheckQuestions, before: Before, *failures: str) -> CheckResult:
    """The result for an export that no tool has answered with."""
    return CheckResult(
        tool=tool,
        questions=len(questions.records),
        accuracy_base=before.base.accuracy,
        accuracy_adapter=before.adapter.accuracy,
        failures=failures,
    )


def check_export(
    tool: Tool,
    model: Path,
    adapter: Path | None,
    questions: CheckQuestions,
    before: Before,
    precision: Precision,
) -> CheckResult:
    """Asks the export with a stock tool, and compares.

    Args:
        tool: opens the export.
        model: checkpoint folder or file.
        adapter: folder of an adapter on it, or None.
        questions: what to ask.
        before: what was answered here.
        precision: what lies between the adapter and the export.
    """
    try:
        after, tokens, problems = ask_stock_model(
            f"{tool}_answers", model, adapter, questions.questions, questions.texts
        )
    except StockFailure as failure:
        return unopened(tool, questions, before, f"{tool} cannot open it: {failure}")
    scored = questions.score(after)
    failures = list(problems)
    if tokens and tokens != questions.text_tokens:
        failures.append("its tokenizer gives other tokens than the base's")
    same = sum(map(str.__eq__, scored.outputs, before.adapter.outputs)) / len(scored.outputs)
    result = replace(
        unopened(tool, questions, before),
        accuracy_export=scored.accuracy,
        same_answers=same,
        largest_logit_difference=_largest_difference(after.logits, before.measured.logits),
        gain_kept=_kept(before.base.accuracy, before.adapter.accuracy, scored.accuracy, 0.0),
        loss_gain_kept=_kept(before.base.loss, before.adapter.loss, scored.loss, _LEAST_CHANGE),
    )
    found, warnings = _judge(result, scored.accuracy, same, precision)
    return replace(result, failures=(*failures, *found), warnings=tuple(warnings))


def _judge(
    result: CheckResult, accuracy: float, same: float, precision: Precision
) -> tuple[list[str], list[str]]:
    """What is wrong with the answers, and what a user should know."""
    failures: list[str] = []
    warnings: list[str] = []
    if precision == "same":
        if same < _SAME_ANSWERS:
            failures.append(f"only {same:.3f} of the answers are the same")
        difference = result.largest_logit_difference
        if difference is not None and not difference <= _LOGIT_DIFFERENCE:
            failures.append(f"logits differ by {difference:.2g}")
    elif precision == "16 bits":
        allowed = _LLAMA_CPP_ACCURACY_LOSS if result.tool == "llama_cpp" else _ACCURACY_LOSS
        before = result.accuracy_adapter
        # One question more, where there are few of them.
        if before - accuracy > max(allowed, 1.5 / result.questions):
            failures.append(f"key accuracy is {accuracy:.3f}, the adapter's {before:.3f}")
        share = result.loss_gain_kept
        if share is not None and not _LOSS_GAIN <= share <= 2 - _LOSS_GAIN:
            failures.append(f"its loss has {share:.3f} of the training's gain")
    else:
        for share, name in (
            (result.gain_kept, "key accuracy"),
            (result.loss_gain_kept, "loss"),
        ):
            if share is not None and share < _LOST_GAIN:
                failures.append(f"only {share:.2f} of the training's gain in {name} is left")
            elif share is not None and share < _WARNED_GAIN:
                warnings.append(f"{share:.2f} of the training's gain in {name} is left")
    return failures, warnings


def _kept(base: float, adapter: float, export: float, least: float) -> float | None:
    """Share of the change from base to adapter that the export has."""
    change = adapter - base
    return (export - base) / change if abs(change) > least and not isnan(export) else None


def _largest_difference(
    first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]
) -> float | None:
    if not first:
        return None
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))
