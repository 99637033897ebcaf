"""The commands that a fit prints at its end."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from animelm.cli.runs.next_commands import next_commands
from animelm.train.initial_adapter import AdapterSource

ADAPTER = Path("runs/x/adapter")


def commands(step: str, source: AdapterSource, *given: str) -> dict[str, list[str]]:
    """By their names, for a run on no data of ours."""
    settings = SimpleNamespace(
        base="b", quantization="nf4", adapter=source, compute=SimpleNamespace(dtype="float32")
    )
    model = SimpleNamespace(settings=settings, step_name=step)
    return {command: rest for command, *rest in next_commands(model, None, ADAPTER, given)}


def test_an_adapter_that_validate_would_not_find_is_named() -> None:
    own, other = AdapterSource(evaluate=ADAPTER), AdapterSource(evaluate=Path("elsewhere"))
    assert commands("cpt", own, "--config=c.yaml")["validate"] == ["--config=c.yaml"]
    assert commands("cpt", other)["validate"] == [f"--model.adapter.evaluate={ADAPTER}"]


@pytest.mark.parametrize(
    "given", [["--ckpt_path=last"], ["--ckpt_path", "last"], ["--overwrite"], ["--overwrite", "-c"]]
)
def test_what_only_a_fit_takes_is_left_out(given: list[str]) -> None:
    own = AdapterSource(evaluate=ADAPTER)
    rest = given[1:] if given[-1] == "-c" else []
    assert commands("sft", own, *given, "--data.seed=1")["validate"] == [*rest, "--data.seed=1"]


def test_ask_and_report_get_the_adapter_and_the_folder_of_the_run() -> None:
    found = commands("cpt", AdapterSource())
    assert found["ask"][-1] == f"--adapter={ADAPTER}" and "--base=b" in found["ask"]
    assert found["report"] == ["runs/x"]
    assert "compare" not in found  # there are no questions
