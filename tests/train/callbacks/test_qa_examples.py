import html
import re
from dataclasses import dataclass

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.train.callbacks import QAExamples
from animelm.train.callbacks.qa_examples import answers_table


@dataclass
class Scored:
    question: str
    output: str = "レベッカ宮本です。"
    answers: tuple[str, ...] = ("レベッカ宮本です。", "天才少女です。")
    held_out_set: str = "unseen_work"
    exact: bool = True
    key_found: bool = False


def cells(table: str) -> list[list[str]]:
    """What TensorBoard's own renderer makes of the table: each body row's cells, as text."""
    rendered = markdown_to_safe_html(table)
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td|br)\b)", rendered), rendered
    rows = re.findall(r"<tr>(.*?)</tr>", rendered.split("<tbody>")[1], re.DOTALL)
    return [
        [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
        for row in rows
    ]


def test_a_row_shows_question_output_accepted_answers_and_scores():
    [row] = cells(answers_table([Scored("主人公は誰ですか?")]).markdown())
    assert row[:2] == ["主人公は誰ですか?", "レベッカ宮本です。"]
    assert row[2] == "レベッカ宮本です。<br>天才少女です。"
    assert row[3:] == ["yes", "no"]


def test_long_texts_are_cut():
    [row] = answers_table([Scored("問" * 9, output="答" * 9, answers=("正",))], 3).rows
    assert list(row[:3]) == ["問問問…", "答答答…", ["正"]]


class Answers(TinyModule):
    def on_validation_epoch_start(self):
        self.validation_answers = []

    def validation_step(self, batch, batch_idx):
        self.validation_answers += [Scored(f"問{number}") for number in range(30)]
        self.validation_answers.append(Scored("首都は?", held_out_set="general"))


def tables(folder, **settings):
    logger = TensorBoardLogger(folder, name="")
    trainer = make_trainer(folder, [QAExamples(examples_per_set=5)], logger=logger, **settings)
    batches = loader([make_batch(0), make_batch(1)])
    trainer.fit(Answers(), batches, loader([make_batch(2)]))
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    return {
        tag.removesuffix("/text_summary"): [
            (event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def test_each_held_out_set_gets_a_table_of_the_same_questions_every_time(tmp_path):
    written = tables(tmp_path, val_check_interval=1)
    assert set(written) == {"answers/unseen_work", "answers/general"}
    first, second = written["answers/unseen_work"]
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1]
    questions = [row[0] for row in cells(first[1])]
    assert len(questions) == 5
    assert questions != [f"問{number}" for number in range(5)], "drawn by hash, not the first"


def test_the_sanity_check_writes_nothing(tmp_path):
    assert tables(tmp_path, num_sanity_val_steps=1, limit_val_batches=1, max_steps=0) == {}
