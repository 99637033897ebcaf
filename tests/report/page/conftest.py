"""Folders as fit and compare leave them, with a made-up case whose counts are known by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from animelm.evaluate.results import Result, write_results
from animelm.evaluate.summary import (
    Summary,
    paired_differences,
    summarize_model,
    write_summary,
)

HOSTILE = '<script>alert("x")</script><b>太字</b>'
# Per set: questions that the base and the fine-tuned model answer rightly, of 24 on six works.
RIGHT = {
    "anime_only_read": (range(2), range(1, 19)),  # 17 gained, 1 kept, 1 lost, 5 never known
    "general_unrehearsed": (range(24), range(8)),  # 8 kept, 16 lost
}


def made_up_results() -> list[Result]:
    results = []
    for place, model in enumerate(("base", "sft")):
        for name, right in RIGHT.items():
            for number in range(24):
                work, relation = f"作品{number % 6}", ("protagonist", "author")[number % 2]
                results.append(
                    Result(
                        model, name, f"{name}-{number}", "anime", work, f"{work}/{relation}",
                        ("forward", "reverse")[number % 3 == 0], f"{relation}/forward/00",
                        f"{HOSTILE}{name}の質問{number}?", (f"答えは正解{number}です。",),
                        (f"正解{number}",),
                        f"答えは正解{number if number in right[place] else number + 2}です。", True,
                        float(number in right[place]), 0.0, 0.5, 0,
                    )
                )  # fmt: skip
    return results


def write_made_up(folder: Path, results: list[Result]) -> Summary:
    folder.mkdir(parents=True, exist_ok=True)
    by_model = {name: [r for r in results if r.model == name] for name in ("base", "sft")}
    models = {name: summarize_model(rows, 0, 5.0, 2.5) for name, rows in by_model.items()}
    models["sft"] = replace(models["sft"], perplexity_anime=None)
    summary = Summary(models, paired_differences(by_model, 0), 61.0, {"q_proj": 1024}, (0,))
    write_summary(folder / "summary.json", summary)
    write_results(folder / "results.jsonl", results)
    return summary


def write_fit(folder: Path) -> None:
    """The log, config and record of a fit of 40 steps with two layers of four experts."""
    version = folder / "version_0"
    writer = SummaryWriter(str(version))
    for step in range(0, 40, 5):
        writer.add_scalar("train/loss", 4 / (step + 1), step)
        writer.add_scalar("train/learning_rate", 1e-3, step)
        writer.add_scalar("train/tokens_per_second", 1000 + step, step)
        writer.add_scalar("train/padding_share", 0.05, step)
        writer.add_scalar("train_router_drift/anime", step / 100, step)
    writer.add_scalar("accuracy/anime_only_read", 0.75, 39)
    writer.close()
    config = (
        "seed_everything: 3\ntrainer:\n  max_epochs: 2\nmodel:\n  optimizer:\n    kind: adamw\n"
    )
    (version / "config.yaml").write_text(config, encoding="utf-8")
    lines = ["step,layer,expert,share,tokens,entropy,chosen_mass,imbalance,dead_experts"]
    lines += [
        f"{step},{layer},{expert},{(expert + 1) / 10},9,1,1,1,0"
        for step in (20, 39)
        for layer in (0, 1)
        for expert in range(4)
    ]
    (version / "router_statistics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    step = {
        "step": "cpt",
        "animelm": "0.1.0",
        "optimizer_steps": 39,
        "base": {"name": "some/base", "weights_sha256": "ab" * 32},  # as an older version wrote it
        "data": [{"role": "articles", "path": "articles", "sha256": "cd" * 32}],
        "split": {"seed": 0},
        "settings": {"quantization": "nf4", "lora.rank": 8},
        "init_adapter": None,
    }
    (folder / "adapter").mkdir()
    text = json.dumps({"schema": 1, "steps": [step]})
    (folder / "adapter" / "adapter_record.json").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo: a comparison and a fit."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    write_made_up(folder, made_up_results())
    write_fit(folder / "cpt")
    shares = {
        "anime_articles": {"layers": [0, 1], "shares": [[0.4, 0.3, 0.2, 0.1], [0.25] * 4]},
        "general_articles": {"layers": [0, 1], "shares": [[0.25] * 4, [0.25] * 4]},
    }
    base = {name: {**each, "shares": [[0.25] * 4] * 2} for name, each in shares.items()}
    routers = {"models": {"base": base, "sft": shares}}
    (folder / "routers.json").write_text(json.dumps(routers), encoding="utf-8")
    made = {"written": "2025-01-02T03:04:05Z", "hardware": {"processor": "Test CPU", "cores": 2}}
    (folder / "comparison.json").write_text(json.dumps(made), encoding="utf-8")
    return folder


@pytest.fixture
def write_comparison() -> Callable[[Path, list[Result]], Summary]:
    return write_made_up
