import time

import pytest
from host_waits import HostWaits, TellsTheStep
from lightning.pytorch.callbacks import Callback
from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.train.callbacks import Throughput

BATCHES = [make_batch(seed, padding=4) for seed in range(4)]  # 2 × 16 positions each


class Wait(Callback):
    """Gives training and validation a known least duration."""

    def __init__(self, training: float = 0, validation: float = 0) -> None:
        self.training, self.validation = training, validation

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(self.training)

    def on_validation_batch_start(self, *args):
        time.sleep(self.validation)


def fit(folder, *callbacks, validation=None, **settings):
    trainer = make_trainer(folder, callbacks, **settings)
    trainer.fit(TinyModule(), loader(BATCHES), validation and loader(validation))
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_padding_and_supervised_tokens_are_counted_per_optimizer_step(tmp_path):
    metrics = fit(tmp_path, Throughput(2), accumulate_grad_batches=2)
    assert metrics["train/padding_share"] == pytest.approx(4 / 32)
    supervised = sum(batch.supervised_tokens for batch in BATCHES) / 2
    assert metrics["train/supervised_tokens"] == supervised


def test_speed_counts_useful_tokens_over_the_time_of_training(tmp_path):
    started = time.perf_counter()
    metrics = fit(tmp_path, Throughput(4), Wait(training=0.05))
    elapsed = time.perf_counter() - started
    useful = 4 * 28
    assert useful / elapsed < metrics["train/tokens_per_second"] < useful / (4 * 0.05)


def test_time_spent_in_validation_is_left_out(tmp_path):
    metrics = fit(
        tmp_path, Throughput(4), Wait(validation=0.5), validation=BATCHES[:1], val_check_interval=2
    )
    assert metrics["train/tokens_per_second"] > 4 * 28  # a second of validation came between


def test_without_a_period_of_its_own_it_follows_the_trainer(tmp_path):
    assert "train/tokens_per_second" in fit(tmp_path / "a", Throughput(), log_every_n_steps=4)
    assert "train/tokens_per_second" not in fit(tmp_path / "b", Throughput(), log_every_n_steps=5)


def test_the_host_waits_for_the_device_once_in_a_window(tmp_path):
    waits = HostWaits()
    with waits:
        fit(tmp_path, TellsTheStep(waits), Throughput(2))
    assert waits.by_step == {2: ["tolist"], 4: ["tolist"]}
