import pytest
import torch

from animelm.errors import UserError
from animelm.train.callbacks.router.table import COLUMNS, RouterTable
from animelm.train.callbacks.router.window import RouterSummary

SUMMARY = RouterSummary.from_sums(torch.tensor([[3.0, 1.0, 2.0, 1.5, 4.0]]))


def test_rows_hold_the_expert_s_share_and_the_layer_s_values(tmp_path):
    table = RouterTable(tmp_path / "new" / "table.csv")
    table.start(0)
    table.append(7, [5], SUMMARY)
    assert table.path.read_text(encoding="utf-8").splitlines() == [
        "step,layer,expert,share,tokens,entropy,chosen_mass,imbalance,dead_experts",
        "7,5,0,0.75,4,0.5,0.375,1.5,0",
        "7,5,1,0.25,4,0.5,0.375,1.5,0",
    ]


def test_a_resumed_run_drops_later_steps_and_a_row_cut_short(tmp_path):
    table = RouterTable(tmp_path / "table.csv")
    table.start(0)
    for step in (10, 20, 30):
        table.append(step, [0], SUMMARY)
    with table.path.open("a", encoding="utf-8") as file:
        file.write("2,0")
    table.start(20)
    steps = [line.split(",")[0] for line in table.path.read_text().splitlines()]
    assert steps == ["step", "10", "10", "20", "20"]
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_fresh_run_begins_an_empty_table(tmp_path):
    table = RouterTable(tmp_path / "table.csv")
    table.start(0)
    table.append(1, [0], SUMMARY)
    table.start(0)
    assert table.path.read_text().splitlines() == [",".join(COLUMNS)]


def test_a_file_with_other_columns_is_refused_and_kept(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name,value\nmine,1\n")
    with pytest.raises(UserError, match=r"table\.csv: line 1 is 'name,value', expected"):
        RouterTable(path).start(0)
    assert path.read_text() == "name,value\nmine,1\n"
