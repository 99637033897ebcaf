from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animelm.train.loggers.tensorboard import RunTensorBoard


def test_the_epoch_that_lightning_adds_has_no_chart(tmp_path):
    logger = RunTensorBoard(tmp_path, name="")
    logger.log_metrics({"train/loss": 1.5, "epoch": 0}, step=3)
    logger.save()
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 1.5)]
