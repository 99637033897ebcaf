from answering import ANIME, GENERAL, RIGHT, WRONG, fit, questions, result
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animelm.train.callbacks import BaseFigures, QAExamples
from animelm.train.callbacks.qa_examples import answers_table


def by_key(*results):
    return {(each.held_out_set, each.id): each for each in results}


def test_a_row_shows_the_base_s_answer_beside_the_trained_one_and_what_became_of_it():
    outputs = {1: (WRONG, RIGHT), 2: (RIGHT, RIGHT), 3: (RIGHT, WRONG), 4: (WRONG, WRONG)}
    base = by_key(*(result(n, before) for n, (before, _) in outputs.items()))
    table = answers_table([result(n, now) for n, (_, now) in outputs.items()], base)
    assert table.columns == ["question", "accepted", "base", "trained", "outcome"]
    accepted = ["レベッカ宮本です。", "天才少女、レベッカ宮本です。"]
    assert table.rows == [
        ["問1", accepted, WRONG, RIGHT, "gained"],
        ["問2", accepted, RIGHT, RIGHT, "kept"],
        ["問3", accepted, RIGHT, WRONG, "lost"],
        ["問4", accepted, WRONG, WRONG, "never known"],
    ]


def test_without_the_base_s_answers_a_row_tells_whether_the_answer_is_right():
    table = answers_table([result(1, WRONG), result(2, RIGHT)], {})
    assert table.columns == ["question", "accepted", "trained", "outcome"]
    assert [row[2:] for row in table.rows] == [[WRONG, "wrong"], [RIGHT, "right"]]


def test_long_texts_are_cut():
    [row] = answers_table([result(1, WRONG)], {}, 2).rows
    assert row[:3] == ["問1", ["レベ…", "天才…"], "知り…"]


def tables(folder, *callbacks, **settings):
    logger = TensorBoardLogger(folder, name="")
    fit(folder, callbacks, logger=logger, **settings)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return {
        tag.removesuffix("/text_summary"): [
            (event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def test_each_held_out_set_gets_a_table_of_the_same_questions_every_time(tmp_path):
    asked = [questions(ANIME, 30), questions(GENERAL, 8)]
    written = tables(tmp_path, BaseFigures(), QAExamples(examples_per_set=5), asked=asked)
    assert set(written) == {f"answers/{ANIME}", f"answers/{GENERAL}"}
    first, second = written[f"answers/{ANIME}"]
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1]
    assert first[1].count("gained") == 5
    shown = [line.split(" | ")[0].strip("| ") for line in first[1].splitlines()[2:]]
    assert len(shown) == 5
    assert shown != [f"問{number}" for number in range(5)], "drawn by hash, not the first"


def test_the_base_alone_writes_nothing(tmp_path):
    assert tables(tmp_path, BaseFigures(), QAExamples(), max_steps=0) == {}
