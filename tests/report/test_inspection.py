import io

import pytest
from rich.console import Console

from animelm.model.inspection import Inspection, ModuleRow
from animelm.model.lora.targets import TargetAudit, TargetRow
from animelm.report.inspection import print_inspection

EXPERTS = tuple(
    ModuleRow(f"model.layers.{layer}.mlp.experts.down_projs.{e}", "Linear4bit", 2880, 2880, True, 4)
    for layer in range(24)
    for e in range(32)
)
INSPECTION = Inspection(
    modules=(
        ModuleRow("model.embed_tokens", "Embedding", 201088, 2880, False, 16),
        *EXPERTS,
        ModuleRow("lm_head", "Linear", 2880, 201088, False, 16),
    ),
    parameters=20_914_757_184,
    audit=TargetAudit((TargetRow(("down_proj",), "down_projs", 768, 70_778_880),)),
)


def printed(width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_inspection(INSPECTION, console)
    return console.file.getvalue()


def test_equal_modules_of_a_list_share_one_line_with_their_count() -> None:
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in printed().splitlines()]
    assert [
        "model.layers.*.mlp.experts.down_projs.*", "Linear4bit", "768", "2,880", "2,880", "yes", "4"
    ] in rows  # fmt: skip
    assert ["lm_head", "Linear", "1", "2,880", "201,088", "no", "16"] in rows


ATTENTION = Inspection(
    tuple(
        ModuleRow(f"model.layers.0.self_attn.{name}", "LoraLinear4bit", 2880, 512, True, 4)
        for name in ("k_proj", "v_proj")
    ),
    1,
    None,
)


def test_names_that_differ_at_their_ends_stay_whole_in_a_narrow_terminal() -> None:
    for width in (60, 80):
        console = Console(file=io.StringIO(), width=width)
        print_inspection(ATTENTION, console)
        lines = [line.split("│") for line in console.file.getvalue().splitlines() if "│" in line]
        text = "".join(cells[1].strip() for cells in lines)
        assert "…" not in console.file.getvalue()
        assert text == "".join(f"model.layers.*.self_attn.{name}" for name in ("k_proj", "v_proj"))


def test_a_pipe_gets_each_module_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_inspection(ATTENTION)
    lines = capsys.readouterr().out.splitlines()
    for name in ("k_proj", "v_proj"):
        [line] = [line for line in lines if name in line]
        assert f"model.layers.*.self_attn.{name}" in line and "LoraLinear4bit" in line


def test_a_module_that_differs_keeps_a_line_of_its_own() -> None:
    odd = ModuleRow("model.layers.3.mlp.experts.down_projs.7", "Linear", 2880, 2880, True, 4)
    console = Console(file=io.StringIO(), width=120)
    print_inspection(Inspection((*EXPERTS, odd), 1, INSPECTION.audit), console)
    counts = [line.split("│")[3].strip() for line in console.file.getvalue().splitlines()
              if "down_projs.*" in line]  # fmt: skip
    assert counts == ["768", "1"]


def test_a_model_without_adapters_is_said_to_be_trained_whole() -> None:
    console = Console(file=io.StringIO(), width=120)
    print_inspection(Inspection(EXPERTS, 1, None), console)
    assert "All parameters are trained." in console.file.getvalue()


def test_the_parameters_and_the_targets_are_told() -> None:
    text = printed()
    assert "20,914,757,184 parameters" in text
    assert "70,778,880" in text
