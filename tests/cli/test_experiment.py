"""What demo and reproduce hand on; the runs themselves are the commands' own job."""

from pathlib import Path
from typing import Any

import pytest

from animelm.cli import experiment
from animelm.errors import UserError


@pytest.fixture
def handed_on(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of both fits by step, and the settings of the comparison."""
    found: dict[str, Any] = {}

    def fit(command: str, arguments: list[str]) -> None:
        assert command == "fit"
        options = dict(argument.split("=", 1) for argument in arguments)
        found[Path(options["--trainer.default_root_dir"]).name] = options

    monkeypatch.setattr(experiment, "run_trainer", fit)
    monkeypatch.setattr(
        experiment, "compare_and_print", lambda settings: found.update(compare=settings)
    )
    return found


def test_reproduce_trains_and_compares_on_the_sample_that_it_writes(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.reproduce(tmp_path / "run", works=4)
    sample = tmp_path / "run" / "sample"
    assert len(list((sample / "anime" / "articles").glob("*-01.md"))) == 4
    cpt, sft, compared = (handed_on[step] for step in ("cpt", "sft", "compare"))
    assert cpt["--data.folder"] == str(sample / "anime" / "articles") == str(compared.articles)
    assert sft["--data.records"] == str(sample / "anime" / "qa.jsonl") == str(compared.records)
    assert Path(sft["--data.records"]).is_file() and compared.general_records.is_file()
    assert compared.questions_per_set is None


def test_fine_tuning_starts_from_the_adapter_that_articles_trained(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.demo(tmp_path / "run")
    adapter = Path(handed_on["cpt"]["--trainer.default_root_dir"]) / "adapter"
    assert handed_on["sft"]["--model.adapter.init_from"] == str(adapter)
    assert handed_on["compare"].cpt_adapter == adapter
    assert handed_on["compare"].sft_adapter == tmp_path / "run" / "sft" / "adapter"


def test_only_reproduce_makes_more_passes(handed_on: dict[str, Any], tmp_path: Path) -> None:
    experiment.demo(tmp_path / "demo")
    assert "--trainer.max_epochs" not in handed_on["sft"]
    experiment.reproduce(tmp_path / "reproduce", works=4)
    assert handed_on["sft"]["--trainer.max_epochs"] == "4"


def test_what_an_earlier_run_left_is_gone(handed_on: dict[str, Any], tmp_path: Path) -> None:
    experiment.demo(tmp_path / "run")
    stale = tmp_path / "run" / "summary.json"
    stale.write_text("{}", encoding="utf-8")
    experiment.demo(tmp_path / "run")
    assert not stale.exists()


def test_a_folder_with_anything_else_in_it_is_refused_untouched(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.demo(tmp_path)
    handed_on.clear()
    own = [tmp_path / "cpt" / "adapter.bin", tmp_path / "thesis.md", tmp_path / "sample" / "a.md"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds sample, which was not written by this command"):
        experiment.demo(tmp_path)
    with pytest.raises(UserError, match=r"holds thesis\.md, which"):
        experiment.reproduce(tmp_path, works=4)
    assert all(path.read_text(encoding="utf-8") == "mine" for path in own)
    assert not handed_on


def test_runs_of_the_users_own_are_not_taken_for_an_earlier_one(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    own = tmp_path / "runs" / "cpt" / "adapter" / "adapter_config.json"
    own.parent.mkdir(parents=True)
    own.touch()
    (tmp_path / "runs" / "sft").mkdir()
    for command in (experiment.demo, experiment.reproduce):
        with pytest.raises(
            UserError, match="runs: holds cpt, which was not written by this command"
        ):
            command(tmp_path / "runs")
    assert own.exists() and not handed_on


def test_a_link_in_the_folder_is_removed_and_not_followed(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.demo(tmp_path / "run")
    kept = tmp_path / "elsewhere" / "adapter"
    kept.mkdir(parents=True)
    (tmp_path / "run" / "cpt").symlink_to(kept.parent)
    experiment.demo(tmp_path / "run")
    assert kept.is_dir() and not (tmp_path / "run" / "cpt").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="run: expected a folder"):
        experiment.demo(tmp_path / "run")
