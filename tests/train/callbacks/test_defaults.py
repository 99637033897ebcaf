import pytest
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar

from animelm.errors import UserError
from animelm.train.callbacks import (
    AdapterCheckpoint,
    RouterStatistics,
    Throughput,
    TrainingProgressBar,
)
from animelm.train.callbacks.defaults import CheckpointSettings, Periods, with_default_callbacks
from animelm.train.callbacks.run_checkpoint import RunCheckpoint
from animelm.train.callbacks.stop_on_signal import StopOnSignal
from animelm.train.stop_signals import StopSignals


class Own(Callback):
    """A callback of the user's."""


def made(*given: Callback, progress_bar: bool = True, checkpointing: bool = True) -> list[Callback]:
    return with_default_callbacks(
        given, Periods(), CheckpointSettings(), progress_bar, checkpointing, StopSignals()
    )


def kinds(callbacks: list[Callback]) -> list[type]:
    return [type(callback) for callback in callbacks]


def test_a_run_without_callbacks_of_its_own_has_the_defaults() -> None:
    found = kinds(made())
    assert len(found) == len(set(found)) == 11
    expected = {TrainingProgressBar, Throughput, RouterStatistics, AdapterCheckpoint}
    assert {*expected, RunCheckpoint, StopOnSignal} <= set(found)


def test_a_callback_of_another_class_is_added() -> None:
    own = Own()
    assert own in made(own) and len(made(own)) == 12


def test_callbacks_of_a_default_class_replace_it() -> None:
    own = [ModelCheckpoint(save_top_k=-1), ModelCheckpoint(), RouterStatistics(3)]
    found = made(*own)
    assert [c for c in found if isinstance(c, ModelCheckpoint | RouterStatistics)] == own


def test_there_is_only_one_progress_bar() -> None:
    assert TrainingProgressBar not in kinds(made(TQDMProgressBar()))
    assert TrainingProgressBar not in kinds(made(progress_bar=False))


def test_without_checkpointing_only_the_adapter_is_written() -> None:
    found = kinds(made(checkpointing=False))
    assert RunCheckpoint not in found and AdapterCheckpoint in found


@pytest.mark.parametrize("name", ["checkpoint", "router_statistics"])
def test_a_period_below_one_step_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"every_n_steps\.{name} is 0; expected 1 or more"):
        Periods(**{name: 0})
