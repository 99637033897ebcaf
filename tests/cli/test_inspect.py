import json
from pathlib import Path

import pytest


def test_json_is_all_that_stands_on_standard_output(call, tiny_base: Path) -> None:
    options = [f"--model.base={tiny_base}", "--model.lora.rank=16"]
    called = call("inspect", "--config=cpt.yaml", *options, "--format", "json")
    assert called.status == 0, called.err
    model = json.loads(called.out)
    modules = {row["name"]: row for row in model["modules"]}
    gate_up = modules["model.layers.1.mlp.experts.gate_up_projs.3"]
    assert set(gate_up) == {"name", "type", "in", "out", "bias", "bits"}
    assert (gate_up["in"], gate_up["out"], gate_up["bits"]) == (64, 64, 4)
    per_target = model["trainable_parameters_per_target"]
    assert per_target["gate_proj+up_proj"] == 2 * 4 * 16 * (64 + 64)
    assert model["trainable_parameters"] == sum(per_target.values())


def test_the_embedded_base_is_inspected_from_its_configuration_alone(
    call, project_root: Path
) -> None:
    base = project_root / "checkpoints" / "nano-gpt-oss-ja"
    called = call("inspect", "--config", "cpt.yaml", f"--model.base={base}", "--format=json")
    experts = [row for row in json.loads(called.out)["modules"] if "experts" in row["name"]]
    layers, count = (
        json.loads((base / "config.json").read_text())[name]
        for name in ("num_hidden_layers", "num_local_experts")
    )
    assert len(experts) == layers * count * 2
    assert {row["bits"] for row in experts} == {4}


def test_options_of_fit_are_understood(call, tiny_base: Path) -> None:
    called = call(
        "inspect",
        "--format=json",
        "--config",
        "cpt.yaml",
        f"--model.base={tiny_base}",
        "--model.lora.target_modules=[q_proj]",
        "--model.lora.rank=4",
    )
    per_target = json.loads(called.out)["trainable_parameters_per_target"]
    assert per_target == {"q_proj": 2 * 4 * (64 + 64)}


def test_of_a_base_that_is_trained_whole_every_weight_is_trainable(call, tiny_base: Path) -> None:
    called = call("inspect", "--config=base.yaml", f"--model.base={tiny_base}", "--format=json")
    model = json.loads(called.out)
    assert model["trainable_parameters"] == model["parameters"] > 0
    assert model["trainable_parameters_per_target"] == {}


def test_the_table_shows_equal_modules_on_one_line(call, tiny_base: Path) -> None:
    called = call("inspect", "--config=cpt.yaml", f"--model.base={tiny_base}")
    assert called.status == 0
    assert "LoRA targets" in called.out


def test_later_configs_are_layered_on_the_first(call, tiny_base: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer.yaml"
    layer.write_text("model: {lora: {target_modules: [q_proj], rank: 4}}\n", encoding="utf-8")
    configs = ["--config=cpt.yaml", f"--config={layer}"]
    called = call("inspect", "--format=json", *configs, f"--model.base={tiny_base}")
    per_target = json.loads(called.out)["trainable_parameters_per_target"]
    assert per_target == {"q_proj": 2 * 4 * (64 + 64)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=json"], "the following arguments are required: --config"),
        (["--config=cpt.yaml", "--format=xml"], "invalid choice: 'xml'"),
        (["--config=cpt.yaml", "--model.nope=1"], "unrecognized arguments: --model.nope=1"),
        (
            ["--config=cpt.yaml", "--model.base=nowhere/at/all"],
            "base 'nowhere/at/all': no such folder",
        ),
    ],
)
def test_a_mistake_gives_one_message(call, arguments: list[str], message: str) -> None:
    called = call("inspect", *arguments)
    assert called.status == 2
    assert message in called.err and not called.out
    assert len(called.err.splitlines()) <= 2
