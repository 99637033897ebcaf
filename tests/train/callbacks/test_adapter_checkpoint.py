import shutil

import pytest
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.errors import UserError
from animelm.train.callbacks import AdapterCheckpoint

BATCHES = [make_batch(seed) for seed in range(4)]
FILE = "adapter/adapter_model.safetensors"


class Look(Callback):
    """Reads what is saved, at the start of each batch."""

    def __init__(self, folder):
        self.folder, self.seen = folder, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        path = self.folder / FILE
        self.seen.append(path.read_text() if path.exists() else None)


class FailsAtStep2(TinyModule):
    def save_adapter(self, folder, steps):
        super().save_adapter(folder, steps)
        if self.trainer.global_step == 2:
            raise OSError("disk full")


def fit(folder, *callbacks, module=None, **settings):
    make_trainer(folder, callbacks, **settings).fit(module or TinyModule(), loader(BATCHES))


def test_the_adapter_is_saved_at_the_end(tmp_path):
    look = Look(tmp_path)
    fit(tmp_path, AdapterCheckpoint(), look)
    assert look.seen == [None] * 4
    assert (tmp_path / FILE).read_text() == "step 4"


def test_every_n_steps_the_folder_is_replaced_and_nothing_else_stays(tmp_path):
    folder = tmp_path / "elsewhere"
    look = Look(folder)
    fit(tmp_path, AdapterCheckpoint(folder, every_n_steps=1), look)
    assert look.seen == [None, "step 1", "step 2", "step 3"]
    assert (folder / FILE).read_text() == "step 4"
    assert [path.name for path in folder.iterdir()] == ["adapter"]


def test_accumulation_does_not_save_the_same_step_twice(tmp_path):
    saved = []

    class Counts(TinyModule):
        def save_adapter(self, folder, steps):
            saved.append(steps)
            super().save_adapter(folder, steps)

    fit(
        tmp_path,
        AdapterCheckpoint(every_n_steps=1),
        module=Counts(),
        accumulate_grad_batches=2,
    )
    assert saved == [1, 2]


def test_a_failed_save_keeps_the_last_adapter_whole(tmp_path):
    with pytest.raises(UserError, match="adapter: cannot be written: disk full"):
        fit(tmp_path, AdapterCheckpoint(every_n_steps=1), module=FailsAtStep2())
    assert (tmp_path / FILE).read_text() == "step 1"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_run_killed_while_swapping_gets_its_last_adapter_back(tmp_path):
    previous = tmp_path / ".adapter.previous"
    previous.mkdir()
    (previous / "adapter_model.safetensors").write_text("step 9")
    (tmp_path / ".adapter.1.partial").mkdir()
    look = Look(tmp_path)
    fit(tmp_path, AdapterCheckpoint(), look)
    assert look.seen[0] == "step 9"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_trial_run_saves_nothing(tmp_path):
    fit(tmp_path, AdapterCheckpoint(tmp_path, every_n_steps=1), fast_dev_run=True)
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("period", [{"every_n_train_steps": 4}, {"every_n_epochs": 1}])
@pytest.mark.parametrize("earlier", [True, False])
def test_resuming_from_a_last_checkpoint_writes_the_adapter(tmp_path, period, earlier):
    """Whoever was killed before the adapter was written has no step left to take."""
    fit(
        tmp_path,
        ModelCheckpoint(tmp_path, "last", **period),
        enable_checkpointing=True,
    )
    if earlier:
        (tmp_path / FILE).parent.mkdir()
        (tmp_path / FILE).write_text("an earlier run's")
    trainer = make_trainer(tmp_path, [AdapterCheckpoint()])
    trainer.fit(TinyModule(), loader(BATCHES), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert (tmp_path / FILE).read_text() == "step 4"


def test_no_process_asks_its_own_disk_whether_to_write(tmp_path, monkeypatch):
    """With a disk for each machine they would answer differently, and one wait for the other."""
    saved = []

    class Counts(TinyModule):
        def save_adapter(self, folder, steps):
            saved.append(steps)
            super().save_adapter(folder, steps)

    class Removed(Callback):
        def on_train_end(self, trainer, pl_module):
            shutil.rmtree(tmp_path / "adapter")

    fit(tmp_path, Removed(), AdapterCheckpoint(every_n_steps=4), module=Counts())
    assert saved == [4]
