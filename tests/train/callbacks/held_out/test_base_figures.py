import json

import pytest
from answering import WRONG, Answering, fit
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import adapted_model

from animelm.train.callbacks import BaseFigures


def scalars(logger: TensorBoardLogger) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_step_0_is_the_base_and_later_steps_tell_what_was_learned_and_lost(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures()], logger=logger)
    found = scalars(logger)
    assert found["accuracy/anime_only_read"] == [(0, 0), (1, 1), (2, 1)]
    assert found["accuracy/learned/anime_only_read"] == [(0, 0), (1, 1), (2, 1)]
    assert found["accuracy/general_rehearsed"] == [(0, 1), (1, 0.75), (2, 0.75)]
    assert found["accuracy/lost/general_rehearsed"] == [(0, 0), (1, 0.25), (2, 0.25)]


def test_what_cannot_change_has_no_chart(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures()], logger=logger)
    found = scalars(logger)
    assert "accuracy/lost/anime_only_read" not in found, "the base knew nothing"
    assert "accuracy/learned/general_rehearsed" not in found, "the base knew everything"
    assert not any(name.endswith("/questions") for name in found)


def test_only_the_base_is_asked_without_adapters_and_they_train_afterwards(tmp_path):
    module = Answering(adapted_model())
    before = {name for name, p in module.named_parameters() if p.requires_grad}
    fit(tmp_path, [BaseFigures()], module)
    assert module.bare == [True, True, False, False, False, False]
    assert {name for name, p in module.named_parameters() if p.requires_grad} == before


@pytest.mark.parametrize("steps", [0, 1])
def test_without_a_whole_validation_before_training_nothing_is_said_of_the_base(tmp_path, steps):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures()], logger=logger, num_sanity_val_steps=steps)
    found = scalars(logger)
    assert [step for step, _ in found["accuracy/anime_only_read"]] == [1, 2]
    assert not any(name.startswith(("accuracy/learned/", "accuracy/lost/")) for name in found)


def test_a_resumed_run_knows_the_base_from_its_checkpoint(tmp_path):
    saved = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
    first = BaseFigures()
    fit(tmp_path, [first, saved], enable_checkpointing=True, max_steps=1)
    state = first.state_dict()
    assert json.loads(state["results"][0])["output"] == WRONG

    resumed = BaseFigures()
    resumed.load_state_dict(state)
    _, module = fit(tmp_path, [resumed], num_sanity_val_steps=0)
    assert module.validation_figures["accuracy/lost/general_rehearsed"] == 0.25


def test_a_base_that_cannot_be_asked_leaves_the_adapters_enabled(tmp_path):
    class Fails(Answering):
        def answers(self, batch):
            raise RuntimeError("out of memory")

    module = Fails(adapted_model())
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(tmp_path, [BaseFigures()], module)
    assert not any(p.disable_adapters for p in module.modules() if hasattr(p, "lora_A"))
