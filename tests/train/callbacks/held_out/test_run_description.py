from unittest.mock import Mock, create_autospec

from answering import fit
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from animelm.train.callbacks import BaseFigures, RunDescription


def compared(logger: TensorBoardLogger) -> list[str]:
    """The figures of TensorBoard's table of runs, in their order."""
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    return [info.name.tag for info in experiment.metric_infos]


EVERYTHING = [
    "accuracy/anime_only_read",
    "accuracy/general_rehearsed",
    "accuracy/learned/anime_only_read",
    "accuracy/lost/general_rehearsed",
    "train/loss",
]


def test_runs_are_compared_by_what_was_learned_and_lost(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures(), RunDescription()], logger=logger)
    assert compared(logger) == EVERYTHING


def test_without_the_base_the_first_validation_tells_the_figures(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures(), RunDescription()], logger=logger, num_sanity_val_steps=0)
    since_the_base = ("accuracy/learned/", "accuracy/lost/")
    assert compared(logger) == [name for name in EVERYTHING if not name.startswith(since_the_base)]


def test_a_run_without_validation_is_described_too_and_each_only_once(tmp_path):
    logger = create_autospec(Logger, instance=True, save_dir=str(tmp_path))
    logger.name, logger.version = "", 0
    fit(tmp_path, [RunDescription()], logger=logger, limit_val_batches=0)
    logger.log_hyperparams.assert_called_once_with({"model.lora.rank": 4, "model.base": "tiny"})
    logger.log_hyperparams = Mock()
    fit(tmp_path, [BaseFigures(), RunDescription()], logger=logger)
    logger.log_hyperparams.assert_called_once()
