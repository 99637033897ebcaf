import json
from pathlib import Path
from types import SimpleNamespace

from animelm.train.callbacks import AnswerWriter


def test_answers_are_written_line_by_line_and_whole(tmp_path: Path) -> None:
    writer = AnswerWriter()
    trainer = SimpleNamespace(world_size=1, global_rank=0, default_root_dir=str(tmp_path / "run"))
    records = [
        SimpleNamespace(id="1", question="首都は?"),
        SimpleNamespace(id="2", question="通貨は?\n"),
    ]
    batch = SimpleNamespace(records=records, held_out_set="general")
    writer.on_predict_start(trainer, None)
    writer.write_on_batch_end(trainer, None, ["東京です。", "円です。"], None, batch, 0, 0)
    assert not (tmp_path / "run").exists()
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
