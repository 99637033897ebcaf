import logging
import warnings

import pytest

from animelm.cli.quiet import quiet_libraries


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("The 'train_dataloader' does not have many workers which may be", UserWarning),
        ("Checkpoint directory runs/checkpoints exists and is not empty.", UserWarning),
        ("Couldn't infer the batch indices fetched from your dataloader: `X`", UserWarning),
        ("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning),
        ("`is_gradient_checkpointing` is deprecated and will be removed in v6", FutureWarning),
    ],
)
def test_warnings_about_the_libraries_own_affairs_are_dropped(message, category) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_libraries():
            warnings.warn(message, category, stacklevel=1)
    assert not caught


def test_other_warnings_are_shown() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_libraries():
            warnings.warn("the loss is not a number", UserWarning, stacklevel=1)
            warnings.warn("something else is deprecated", FutureWarning, stacklevel=1)
    assert len(caught) == 2


def test_advertisements_are_not_logged_and_other_lines_are(caplog) -> None:
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    with caplog.at_level(logging.INFO, logger=logger.name), quiet_libraries():
        logger.info("Tip: try installing [litlogger] for logging")
        logger.info("TPU available: False, using: 0 TPU cores")
        logger.info("`Trainer.fit` stopped: `max_steps=3` reached.")
    assert [record.getMessage() for record in caplog.records] == [
        "`Trainer.fit` stopped: `max_steps=3` reached."
    ]


def test_saving_at_a_signal_says_nothing_of_how_files_are_read(caplog) -> None:
    logger = logging.getLogger("lightning.pytorch.trainer.connectors.checkpoint_connector")
    with caplog.at_level(logging.INFO, logger=logger.name), quiet_libraries():
        logger.info("`weights_only` was not set, defaulting to `False`.")
        logger.info("Restored all states")
    assert [record.getMessage() for record in caplog.records] == ["Restored all states"]


def test_a_log_in_which_a_run_went_on_is_read_without_a_word(caplog) -> None:
    logger = logging.getLogger("tensorboard")
    with caplog.at_level(logging.WARNING, logger=logger.name), quiet_libraries():
        logger.warning("Detected out of order event.step likely caused by a TensorFlow restart.")
        logger.warning("Found more than one graph event per run")
    assert [record.getMessage() for record in caplog.records] == [
        "Found more than one graph event per run"
    ]
