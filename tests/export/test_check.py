"""The verdict on answers that are given here, without any tool."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from animelm.data.sources.qa import read_qa
from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.evaluate.scoring import Distractors
from animelm.export import check as check_module
from animelm.export.check import Before, CheckResult, Precision, check_export
from animelm.export.process import StockFailure
from animelm.export.questions import CheckQuestions
from animelm.export.stock.measuring import Measured

Checked = Callable[..., CheckResult]


@pytest.fixture
def check(tiny_base: str, questions: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Checks an export that gives the right answer to the first ``right`` of four questions."""
    records = read_qa(questions)
    chat = ChatFormat(load_tokenizer(tiny_base))
    asked = CheckQuestions(records, Distractors(records), chat, "final", 4, 8)

    def measured(right: int, loss: float, logit: float) -> Measured:
        texts = [r.answers[0] if i < right else "?" for i, r in enumerate(records)]
        logits = [torch.full((1, 2), logit)]
        return Measured([chat.encode_text(text) for text in texts], [loss] * 4, logits)

    def run(
        precision: Precision, right: int = 4, loss: float = 1.0, logit: float = 0.0, **found: object
    ) -> CheckResult:
        base, adapter = measured(0, 3.0, 9.0), measured(4, 1.0, 0.0)
        before = Before(asked.score(base), asked.score(adapter), adapter)
        answer = (measured(right, loss, logit), asked.text_tokens, [])
        reply = found.get("reply", answer)

        def ask(*arguments: object) -> object:
            if isinstance(reply, Exception):
                raise reply
            return reply

        monkeypatch.setattr(check_module, "ask_stock_model", ask)
        return check_export("transformers", Path(), None, asked, before, precision)

    return run


def test_the_same_answers_logits_and_losses_pass(check: Checked) -> None:
    for precision in ("same", "16 bits", "other weights"):
        result = check(precision)
        assert not result.failures and not result.warnings
        assert (result.accuracy_base, result.accuracy_adapter, result.accuracy_export) == (0, 1, 1)
        assert (result.gain_kept, result.loss_gain_kept) == (1, 1)


@pytest.mark.parametrize(
    ("precision", "given", "message"),
    [
        ("same", {"right": 3}, "only 0.750 of the answers are the same"),
        ("same", {"logit": 0.01}, "logits differ by 0.01"),
        ("same", {"logit": float("nan")}, "logits differ by nan"),
        ("16 bits", {"right": 2}, "key accuracy is 0.500, the adapter's 1.000"),
        ("16 bits", {"loss": 1.2}, "its loss has 0.900 of the training's gain"),
        ("16 bits", {"loss": 0.5}, "its loss has 1.250 of the training's gain"),
        ("other weights", {"right": 1}, "only 0.25 of the training's gain in key accuracy"),
        ("other weights", {"loss": 2.5}, "only 0.25 of the training's gain in loss"),
    ],
)
def test_other_answers_fail(
    check: Checked, precision: Precision, given: dict[str, float], message: str
) -> None:
    assert message in "; ".join(check(precision, **given).failures)


def test_a_share_of_the_gain_below_nine_tenths_is_a_warning(check: Checked) -> None:
    result = check("other weights", loss=1.4)
    assert not result.failures
    assert result.warnings == ("0.80 of the training's gain in loss is left",)


def test_an_export_that_cannot_be_opened_or_has_another_tokenizer_fails(check: Checked) -> None:
    unopened = check("same", reply=StockFailure("no such file"))
    assert "transformers cannot open it: no such file" in unopened.failures[0]
    assert unopened.accuracy_export is None
    right = [[1]] * 4
    other = check("16 bits", reply=(Measured([[5]] * 4, [1.0] * 4, []), right, ["missing_keys"]))
    assert "missing_keys" in other.failures
    assert any("tokenizer gives other tokens" in failure for failure in other.failures)
