import json
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger, Logger
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from animelm.train.loggers.run_log import RunLog
from animelm.train.loggers.table import LogTable

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
TABLE = LogTable(["question", "accepted"], [["主人公は?", ["<a>", "b"]], ["誰?", ["c"]]])
TEXTS = [["主人公は?", "<a>\nb"], ["誰?", "c"]]
SETTINGS = {"model.lora.rank": 16, "model.base": "nano", "model.from_scratch": False}


def events_of(logger: TensorBoardLogger) -> EventAccumulator:
    logger.save()
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return events


def test_tensorboard_gets_figures_pictures_and_escaped_tables(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    log = RunLog([logger])
    log.figures({"lost/general": 0.25}, 7)
    log.picture("map", PIXELS, 7)
    log.table("answers/general", TABLE, 7)
    events = events_of(logger)
    assert [(e.step, e.value) for e in events.Scalars("lost/general")] == [(7, 0.25)]
    [image] = events.Images("map")
    assert (image.step, image.height, image.width) == (7, 4, 6)
    [text] = events.Tensors("answers/general/text_summary")
    assert "&#60;a&#62;<br>b" in text.tensor_proto.string_val[0].decode()


def test_tensorboard_compares_runs_by_their_last_figures_and_settings(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    RunLog([logger]).describe(SETTINGS, ["lost/general"], {})
    events = events_of(logger)
    assert events.Tags()["scalars"] == [], "a figure at step 0 that nobody measured"
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["model.lora.rank"].number_value == 16
    assert start.hparams["model.base"].string_value == "nano"
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert [info.name.tag for info in experiment.metric_infos] == ["lost/general"]
    assert logger.hparams == SETTINGS


def test_tensorboard_arranges_charts(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    RunLog([logger]).describe({}, [], {"Learned and lost": {"lost": ["lost/.*"]}})
    [layout] = events_of(logger).Tensors("custom_scalars__config__")
    text = layout.tensor_proto.string_val[0]
    assert b"Learned and lost" in text and b"lost/.*" in text


def test_weights_and_biases_gets_them_through_its_own_methods():
    logger = create_autospec(WandbLogger, instance=True)
    log = RunLog([logger])
    log.figures({"lost/general": 0.25}, 7)
    log.picture("map", PIXELS, 7)
    log.table("answers/general", TABLE, 7)
    log.describe(SETTINGS, ["lost/general"], {})
    logger.log_metrics.assert_called_once_with({"lost/general": 0.25}, step=7)
    logger.log_image.assert_called_once_with("map", [PIXELS], step=7)
    logger.log_table.assert_called_once_with(
        "answers/general", columns=["question", "accepted"], data=TEXTS, step=7
    )
    logger.log_hyperparams.assert_called_once_with(SETTINGS)


def test_mlflow_gets_images_and_tables_by_its_client():
    logger = create_autospec(MLFlowLogger, instance=True)
    logger.experiment, logger.run_id = Mock(), "run"
    log = RunLog([logger])
    log.picture("answers/一般", PIXELS, 7)
    log.table("answers/general", TABLE, 7)
    log.table("empty", LogTable(["question"], []), 7)
    log.describe(SETTINGS, [], {})
    logger.experiment.log_image.assert_called_once_with("run", PIXELS, key="answers/__", step=7)
    first, second = logger.experiment.log_table.call_args_list
    assert first.args == ("run",)
    assert first.kwargs == {
        "data": {"question": ["主人公は?", "誰?"], "accepted": ["<a>\nb", "c"]},
        "artifact_file": "answers-general/step_7.json",
    }
    assert second.kwargs["data"] == {"question": []}
    logger.log_hyperparams.assert_called_once_with(SETTINGS)


def test_a_csv_logger_gets_files_beside_its_own(tmp_path):
    logger = CSVLogger(tmp_path, name="")
    log = RunLog([logger])
    log.picture("train_router/heat_map", PIXELS, 7)
    log.table("answers/一般 ../x", TABLE, 7)
    picture = tmp_path / "version_0" / "pictures" / "train_router-heat_map" / "step_7.png"
    assert np.array_equal((imread(picture)[..., :3] * 255).round(), PIXELS)
    table = tmp_path / "version_0" / "tables" / "answers-一般-..-x" / "step_7.jsonl"
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    assert rows == [
        {"question": "主人公は?", "accepted": ["<a>", "b"]},
        {"question": "誰?", "accepted": ["c"]},
    ]


def test_another_logger_says_once_that_it_gets_no_pictures():
    logger = create_autospec(Logger, instance=True)
    with pytest.warns(UserWarning, match="gets figures alone"):
        RunLog([logger]).picture("map", PIXELS, 1)
    RunLog([logger]).figures({"a": 1.0}, 1)
    logger.log_metrics.assert_called_once_with({"a": 1.0}, step=1)


def test_a_trial_run_s_logger_takes_everything():
    log = RunLog([DummyLogger()])
    log.picture("map", PIXELS, 1)
    log.table("t", TABLE, 1)
    log.describe({}, [], {})
