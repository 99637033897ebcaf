import pytest
from answering import fit
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import make_batch

from animelm.report.page.texts import load_texts
from animelm.train.callbacks import BaseFigures, LearnedAndLost
from animelm.train.callbacks.held_out import learned_and_lost


def images(logger: TensorBoardLogger) -> dict[str, list[int]]:
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return {tag: [e.step for e in events.Images(tag)] for tag in events.Tags()["images"]}


def test_each_validation_gets_the_report_s_pictures(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures(), LearnedAndLost()], logger=logger)
    assert images(logger) == {
        "accuracy/trade_off": [1, 2],
        "accuracy/sets": [1, 2],
    }


@pytest.mark.parametrize(("language", "step"), [("en", "step"), ("ja", "ステップ")])
def test_pictures_show_the_base_and_the_last_validations_in_the_run_s_language(
    tmp_path, monkeypatch, language, step
):
    drawn = []
    monkeypatch.setattr(
        learned_and_lost, "to_pixels", lambda figure, title, dpi: drawn.append((figure, title))
    )
    monkeypatch.setattr(learned_and_lost.RunLog, "picture", lambda *args: None)
    fit(tmp_path, [BaseFigures(), LearnedAndLost(language)], logger=False, max_epochs=4)
    texts = load_texts(language)
    figure, title = drawn[-2]
    assert title == texts("pictures.trade_off.title")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [texts.name("models", "base"), *(f"{step} {n}" for n in range(4, 9))]


def test_a_run_that_asks_no_questions_has_no_pictures(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="")
    fit(tmp_path, [BaseFigures(), LearnedAndLost()], asked=[make_batch(2)], logger=logger)
    assert images(logger) == {}
