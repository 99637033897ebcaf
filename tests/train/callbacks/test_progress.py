import io

import pytest
from lightning.pytorch.loggers import CSVLogger
from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.train.callbacks import Throughput, TrainingProgressBar


class Records(TrainingProgressBar):
    def __init__(self):
        super().__init__()
        self.shown = []

    def get_metrics(self, trainer, pl_module):
        self.shown.append(super().get_metrics(trainer, pl_module))
        return self.shown[-1]


class AlsoOnTheBar(TinyModule):
    def training_step(self, batch, batch_idx):
        self.log("epoch_share", 0.5, prog_bar=True, batch_size=1)
        self.log("train/learning_rate", 1e-3, prog_bar=True, batch_size=1)
        return super().training_step(batch, batch_idx)


def test_the_bar_shows_loss_and_speed_once_and_what_else_was_asked_for(tmp_path, capsys):
    bar = Records()
    trainer = make_trainer(
        tmp_path, [bar, Throughput()], enable_progress_bar=True, logger=CSVLogger(tmp_path)
    )
    trainer.fit(AlsoOnTheBar(), loader([make_batch(0), make_batch(1)]))
    shown = bar.shown[-1]
    assert list(shown) == ["loss", "tokens/s", "epoch_share", "train/learning_rate"]
    assert isinstance(shown["loss"], float)
    assert int(shown["tokens/s"].replace(",", "")) > 0
    assert "loss:" in capsys.readouterr().out


def test_before_anything_was_logged_the_bar_shows_no_empty_field(tmp_path):
    class LogsNothing(TinyModule):
        def log(self, *args, **kwargs):
            pass

    bar = Records()
    trainer = make_trainer(tmp_path, [bar], enable_progress_bar=True)
    trainer.fit(LogsNothing(), loader([make_batch(0)]))
    assert bar.shown[-1] == {}


@pytest.mark.parametrize(("epochs", "last"), [(1, "Epoch 1/1"), (2, "Epoch 2/2")])
def test_epochs_are_counted_from_one(tmp_path, epochs, last):
    terminal = io.StringIO()
    console = {"width": 80, "file": terminal, "force_terminal": True}
    bar = TrainingProgressBar(console_kwargs=console)
    trainer = make_trainer(tmp_path, [bar], enable_progress_bar=True, max_epochs=epochs)
    trainer.fit(TinyModule(), loader([make_batch(0)]))
    assert last in terminal.getvalue() and "Epoch 0" not in terminal.getvalue()


class AnswersInValidation(TinyModule):
    def validation_step(self, batch, batch_idx):
        for name in ("anime_unseen_wording", "anime_only_read", "general"):
            self.log(f"accuracy/{name}", 0.52, prog_bar=True, batch_size=1)


@pytest.mark.parametrize(
    ("batches", "longest"), [(3, "anime_unseen_wording: 0.520"), (12345, "anime_unseen_wording:")]
)
def test_the_names_of_held_out_sets_are_whole_at_80_columns(tmp_path, batches, longest):
    class Long(TrainingProgressBar):
        total_train_batches = batches

    terminal = io.StringIO()
    console = {"width": 80, "file": terminal, "force_terminal": True}
    trainer = make_trainer(
        tmp_path, [Long(console_kwargs=console), Throughput()], enable_progress_bar=True
    )
    data = loader([make_batch(0)])
    trainer.fit(AnswersInValidation(), data, data)
    shown = terminal.getvalue()
    for figure in (longest, "anime_only_read: 0.520", "general: 0.520"):
        assert figure in shown
    assert "…" not in shown and "accuracy/" not in shown
