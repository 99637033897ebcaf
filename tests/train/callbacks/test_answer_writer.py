import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from animelm.errors import UserError
from animelm.train.callbacks import AnswerWriter


def predicting(folder: Path, path: Path | None = None, stage: str = "predict") -> tuple:
    """A writer that has been set up, and its trainer."""
    writer = AnswerWriter(path)
    trainer = SimpleNamespace(world_size=1, global_rank=0, default_root_dir=str(folder))
    writer.setup(trainer, SimpleNamespace(predict_step=lambda batch: None), stage)
    return writer, trainer


def test_answers_are_written_line_by_line_and_whole(tmp_path: Path) -> None:
    writer, trainer = predicting(tmp_path / "run")
    records = [
        SimpleNamespace(id="1", question="首都は?"),
        SimpleNamespace(id="2", question="通貨は?\n"),
    ]
    batch = SimpleNamespace(records=records, held_out_set="general")
    writer.on_predict_start(trainer, None)
    writer.write_on_batch_end(trainer, None, ["東京です。", "円です。"], None, batch, 0, 0)
    assert not list((tmp_path / "run").iterdir())
    writer.on_predict_end(trainer, None)
    [path] = (tmp_path / "run").iterdir()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["output"] for line in lines] == ["東京です。", "円です。"]
    assert lines[1] == {
        "id": "2",
        "question": "通貨は?\n",
        "output": "円です。",
        "held_out_set": "general",
    }


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("file/answers.jsonl", "AnswerWriter's path .*file: cannot be made: File exists"),
        ("folder", "AnswerWriter's path .*folder: is a folder; expected a file's name"),
    ],
)
def test_a_path_that_no_file_can_have_is_told_before_any_answer(
    tmp_path: Path, path: str, told: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=told):
        predicting(tmp_path, tmp_path / path)
    predicting(tmp_path, tmp_path / path, stage="fit")  # writes no answers
