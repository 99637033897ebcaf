import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from animelm.data.batches.batch import PackedBatch
from animelm.errors import UserError
from animelm.train.callbacks import AdapterCheckpoint
from animelm.train.finite import FiniteGuard, require_finite_weights
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimizerSettings

Fit = Callable[..., AdaptedLM]
Batches = Callable[..., list[PackedBatch]]


@pytest.fixture
def named(batches: Batches) -> list[PackedBatch]:
    """Four batches, each of two documents."""
    return [
        replace(batch, documents=(f"{number}-a.md", f"{number}-b.md"))
        for number, batch in enumerate(batches(4))
    ]


def test_a_run_whose_numbers_overflow_ends_and_keeps_its_last_finite_checkpoint(
    fit: Fit, named: list[PackedBatch], tmp_path: Path
) -> None:
    settings = OptimizerSettings(kind="adamw", learning_rate=1e38, warmup_share=0.0)
    (tmp_path / "adapter").mkdir()
    with pytest.raises(
        UserError, match=r"not finite|the (loss|norm of the gradients) is (nan|inf)"
    ):
        fit(
            named * 4,
            callbacks=[
                ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1),
                AdapterCheckpoint(),
            ],
            trainer={"enable_checkpointing": True},
            optimizer=settings,
        )
    assert list((tmp_path / "adapter").iterdir()) == []
    for path in tmp_path.glob("*.ckpt"):
        weights = torch.load(path, weights_only=True)["state_dict"].values()
        assert all(weight.isfinite().all() for weight in weights)


def test_a_loss_that_is_not_a_number_names_step_batch_and_documents(
    fit: Fit, named: list[PackedBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss_sum = AdaptedLM.loss_sum

    def broken(self: AdaptedLM, batch: PackedBatch) -> torch.Tensor:
        return loss_sum(self, batch) * (math.nan if batch.documents[0] == "2-a.md" else 1)

    monkeypatch.setattr(AdaptedLM, "loss_sum", broken)
    with pytest.raises(UserError) as ended:
        fit(named, trainer={"accumulate_grad_batches": 2})
    message = str(ended.value)
    assert message.startswith("epoch 1, batch 3, optimizer step 2: the loss is nan; documents: 2-a")


def test_gradients_that_are_not_finite_name_all_documents_of_the_step(
    fit: Fit, named: list[PackedBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = AdaptedLM.on_before_optimizer_step

    def broken(self: AdaptedLM, optimizer: torch.optim.Optimizer) -> None:
        finish(self, optimizer)
        next(p for p in self.parameters() if p.requires_grad).grad[0, 0] = math.inf

    monkeypatch.setattr(AdaptedLM, "on_before_optimizer_step", broken)
    with pytest.raises(
        UserError, match=r"gradients is inf; documents: 0-a.md, 0-b.md, 1-a.md, 1-b"
    ):
        fit(named, trainer={"accumulate_grad_batches": 2})


class Trainer:
    """All that the guard asks of a trainer."""

    current_epoch = global_step = 0


@pytest.mark.parametrize(
    ("limit", "kind", "reference"),
    [
        (0.5, None, clip_grad_norm_),
        (0.5, "norm", clip_grad_norm_),
        (0.5, "value", clip_grad_value_),
    ],
)
def test_gradients_are_clipped_as_torch_does(
    limit: float, kind: str | None, reference: Callable
) -> None:
    clipped, expected = (Parameter(torch.zeros(3)) for _ in range(2))
    for weight in (clipped, expected):
        weight.grad = torch.tensor([3.0, -0.1, 4.0])
    FiniteGuard().clip(torch.optim.SGD([clipped]), limit, kind, Trainer())
    reference([expected], limit)
    assert torch.equal(clipped.grad, expected.grad)


def test_without_a_limit_nothing_is_clipped() -> None:
    weight = Parameter(torch.zeros(2))
    weight.grad = torch.tensor([30.0, 40.0])
    FiniteGuard().clip(torch.optim.SGD([weight]), None, None, Trainer())
    assert weight.grad.tolist() == [30, 40]


def test_weights_that_are_not_finite_are_refused() -> None:
    good = torch.ones(3)
    require_finite_weights({"a": good})
    with pytest.raises(UserError, match="1 of 2 trained weights are not finite, such as b"):
        require_finite_weights({"a": good, "b": torch.tensor([1.0, math.inf])})
