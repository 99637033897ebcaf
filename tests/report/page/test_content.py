import json
import shutil
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from animelm.errors import UserError
from animelm.report.page.content import read_content


def test_a_comparison_is_read_with_the_fits_below_it(comparison: Path) -> None:
    content = read_content(comparison)
    assert content.name == "demo"
    assert content.summary is not None and list(content.summary.models) == ["base", "sft"]
    assert len(content.results) == 96
    [run] = content.runs
    assert run.name == "cpt"
    assert [step for step, _ in run.scalars["train/loss"]] == list(range(0, 40, 5))
    assert run.config["seed_everything"] == 3
    assert run.router_shares is not None and run.router_shares.shape == (2, 4)
    assert set(content.routers) == {"base", "sft"}


def test_the_folder_of_a_fit_alone_is_read(comparison: Path) -> None:
    content = read_content(comparison / "cpt")
    assert content.summary is None and content.results == []
    assert [run.name for run in content.runs] == ["cpt"]


def test_answers_of_several_seeds_lie_in_their_folders(comparison: Path, tmp_path: Path) -> None:
    summary = json.loads((comparison / "summary.json").read_text(encoding="utf-8"))
    for seed in (0, 3):
        shutil.copytree(comparison, tmp_path / f"seed-{seed}")
    pooled = json.dumps({**summary, "seeds": [0, 3]})
    (tmp_path / "summary.json").write_text(pooled, encoding="utf-8")
    content = read_content(tmp_path)
    assert len(content.results) == 2 * 96
    assert [run.name for run in content.runs] == ["seed-0/cpt", "seed-3/cpt"]


def test_of_several_versions_of_a_run_the_latest_is_read(comparison: Path, tmp_path: Path) -> None:
    for version in (2, 10):
        shutil.copytree(comparison / "cpt" / "version_0", tmp_path / f"version_{version}")
    config = tmp_path / "version_10" / "config.yaml"
    config.write_text("seed_everything: 10\n", encoding="utf-8")
    [run] = read_content(tmp_path).runs
    assert run.config == {"seed_everything": 10}


def test_what_validate_writes_beside_a_fit_is_not_taken_for_training(
    comparison: Path, tmp_path: Path
) -> None:
    shutil.copytree(comparison / "cpt" / "version_0", tmp_path / "version_0")
    with SummaryWriter(str(tmp_path / "version_1")) as writer:
        writer.add_scalar("accuracy/anime_only_read", 0.5, 0)
    [run] = read_content(tmp_path).runs
    assert "train/loss" in run.scalars
    assert run.config["seed_everything"] == 3


def test_figures_of_an_older_version_s_log_are_found_by_their_present_names(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "version_0")) as writer:
        writer.add_scalar("validation/anime_only_read/accuracy", 0.5, 0)
        writer.add_scalar("validation/anime_only_read/exact_match", 0.25, 0)
        writer.add_scalar("router_drift/anime", 0.1, 0)
        writer.add_scalar("train/loss", 1.0, 0)
    [run] = read_content(tmp_path).runs
    assert set(run.scalars) == {
        "accuracy/anime_only_read",
        "validation/anime_only_read/exact_match",
        "train_router_drift/anime",
        "train/loss",
    }


def test_a_folder_with_nothing_to_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds neither summary\.json nor the log of a fit"):
        read_content(tmp_path)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        read_content(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("routers.json", "{", r"routers\.json: not valid JSON"),
        ("comparison.json", "[]", r"comparison\.json: expected a JSON object"),
        ("cpt/version_0/router_statistics.csv", "step\n1\n", "not the table of router statistics"),
        ("cpt/version_0/config.yaml", "a: [", r"config\.yaml:[12]: not valid YAML"),
        ("cpt/adapter/adapter_record.json", "{}", "not an adapter's record"),
    ],
)
def test_a_malformed_file_is_named(
    comparison: Path, tmp_path: Path, file: str, content: str, message: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(comparison, folder)
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_content(folder)


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("comparison.json", {"adapters": 5}, "adapters is 5; expected .* an object"),
        ("comparison.json", {"bases": {"x": "y"}}, "bases: x is 'y'"),
        ("comparison.json", {"hardware": [1]}, r"hardware is \[1\]"),
        ("comparison.json", {"written": {}}, "written is {}"),
        ("routers.json", {"models": 5}, "models is 5"),
        ("routers.json", {"models": {"base": 5}}, ".*expected shares"),
        (
            "routers.json",
            {"models": {"base": {"x": {"shares": [[1], []]}}}},
            "model base: expected shares",
        ),
        (
            "routers.json",
            {"models": {"base": {"x": {"shares": [["a"]]}}}},
            "model base: expected shares",
        ),
    ],
)
def test_values_of_other_types_are_named(
    tmp_path: Path, comparison: Path, name: str, values: object, told: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(comparison, folder)
    (folder / name).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{name}: {told}"):
        read_content(folder)
