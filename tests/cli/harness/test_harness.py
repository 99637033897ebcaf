"""Own tasks with local data, answered by the embedded base and an adapter."""

import json
from pathlib import Path

import pytest
import torch

from animelm.cli import main
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, save_adapter

CAPITALS = {"日本": "東京", "フランス": "パリ", "エジプト": "カイロ"}
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
doc_to_text: "「{{{{country}}}}」の首都はどこですか?"
output_type: {kind}
metric_list:
  - metric: {metric}
    aggregation: mean
    higher_is_better: true
"""
CHOICE = """\
doc_to_choice: "{{choices}}"
doc_to_target: "{{label}}"
"""
GENERATION = """\
doc_to_target: "「{{country}}」の首都は{{capital}}です。"
generation_kwargs:
  max_gen_toks: 24
  do_sample: false
  until: ["\\n"]
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed (the extra lm-eval)")
    folder = tmp_path / "tasks"
    folder.mkdir()
    data = folder / "capitals.jsonl"
    names = list(CAPITALS.values())
    rows = (
        {"country": country, "capital": capital, "label": number, "choices": names}
        for number, (country, capital) in enumerate(CAPITALS.items())
    )
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, kind, metric, rest in (
        ("capital_choice", "multiple_choice", "acc", CHOICE),
        ("capital_answer", "generate_until", "exact_match", GENERATION),
    ):
        text = TASK.format(name=name, data=data, kind=kind, metric=metric) + rest
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_base_and_adapter_answer_tasks_with_local_data(
    tasks: Path, tmp_path: Path, project_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = project_root / "checkpoints" / "nano-gpt-oss-ja"
    model = add_adapter(load_base(str(base), "nf4"), LoraSettings(rank=2, alpha=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=2.0)  # so that it knows nothing any more
    save_adapter(model, tmp_path / "adapter")
    output = tmp_path / "out"
    status = main(
        [
            "harness",
            f"--base={base}",
            f'--models={{"base": null, "noise": "{tmp_path / "adapter"}"}}',
            "--tasks=[capital_choice, capital_answer]",
            f"--task_folder={tasks}",
            "--compute_type=float32",
            f"--output={output}",
        ]
    )
    printed = capsys.readouterr().out
    assert status == 0 and "capital_choice" in printed and "noise" in printed
    results = json.loads((output / "harness.json").read_text(encoding="utf-8"))["results"]
    assert results["base"]["capital_choice"]["acc,none"] == 1.0
    assert results["base"]["capital_answer"]["exact_match,none"] == 1.0
    assert results["noise"]["capital_answer"]["exact_match,none"] == 0.0
    samples = (output / "noise" / "samples_capital_answer.jsonl").read_text(encoding="utf-8")
    assert len(samples.splitlines()) == len(CAPITALS)
    assert "<|message|>" not in json.loads(samples.splitlines()[0])["filtered_resps"]


def test_settings_out_of_range_end_with_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harness", "--base=x", "--tasks=[]"]) == 2
    assert "tasks: expected the name of a task or more" in capsys.readouterr().err
    assert main(["harness", "--base=x", "--tasks=[a]", "--limit=0"]) == 2
    assert "limit is 0; expected 1 or more" in capsys.readouterr().err
