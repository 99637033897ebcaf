"""Settings of Lightning's trainer that end with one message instead of a traceback."""

from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import EarlyStopping

from animelm.cli.runs.mistakes import lightnings_refusals, require_other_batches
from animelm.errors import UserError


def test_batches_that_would_not_be_repeated_are_not_called_overfitting() -> None:
    require_other_batches(SimpleNamespace(overfit_batches=0.0))
    with pytest.raises(UserError, match=r"overfit_batches: .* --trainer\.limit_train_batches"):
        require_other_batches(SimpleNamespace(overfit_batches=1))


def test_a_metric_that_nothing_logs_is_told_with_those_that_are() -> None:
    logged = {"train/loss": 1, "accuracy/a": 1, "validation_directions/a/accuracy": 1}
    trainer = SimpleNamespace(callback_metrics=logged, fast_dev_run=False)
    with pytest.raises(UserError) as refused, lightnings_refusals():
        EarlyStopping("nope")._run_early_stopping_check(trainer)
    assert str(refused.value) == (
        "trainer.callbacks: EarlyStopping watches nope, which is not logged; expected one of "
        "train/loss, accuracy/a"
    )


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match="a bug"), lightnings_refusals():
        raise ValueError("a bug")
