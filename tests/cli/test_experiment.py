"""What demo and reproduce hand on; the runs themselves are the commands' own job."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from animelm.cli import experiment
from animelm.cli.configs import find_configs
from animelm.cli.quiet import quiet_libraries
from animelm.cli.trainer import TrainerCLI
from animelm.data.held_out import ONLY_READ
from animelm.data.sources.qa import QARecord, question_files
from animelm.errors import UserError
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import make_result, write_results
from animelm.evaluate.scoring import Scores
from animelm.evaluate.settings import CompareSettings
from animelm.evaluate.summary import Summary, read_summary, summarize_model, write_summary
from animelm.sample.writer import GENERATED


@pytest.fixture
def handed_on(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of the fits by step, and the settings of the comparison; both leave their files."""
    found: dict[str, Any] = {}
    seeds: list[int] = []

    def fit(command: str, arguments: list[str], shows_next: bool) -> None:
        assert command == "fit"
        options = dict(argument.split("=", 1) for argument in arguments)
        folder = Path(options["--output"])
        found[folder.name] = options
        seeds.append(int(options["--data.seed"]))
        (folder / "adapter").mkdir(parents=True)

    def compare(settings: CompareSettings) -> None:
        found["compare"] = settings
        write_comparison(settings.output, seeds[-1])

    monkeypatch.setattr(experiment, "run_trainer", fit)
    monkeypatch.setattr(experiment, "compare_and_print", compare)
    return found


def write_comparison(folder: Path, seed: int) -> None:
    """The files of a comparison that asked one question."""
    record = QARecord(
        "1",
        "作品",
        "作品/作者",
        "forward",
        "作者/forward/00",
        "anime",
        "作者は?",
        ("甲。",),
        ("甲",),
    )
    answer = Answer(record, ONLY_READ, "甲。", reached_end=True)
    results = [make_result("base", answer, Scores(1.0, 1.0, 1.0, 1.0), seed)]
    model = summarize_model(results, seed, None, None)
    write_results(folder / "results.jsonl", results)
    write_summary(folder / "summary.json", Summary({"base": model}, {}, 1.0, {}, (seed,)))


def parsed(options: dict[str, str]) -> TrainerCLI:
    """The objects that the options of a fit describe."""
    arguments = [f"{name}={value}" for name, value in options.items()]
    with quiet_libraries():
        return TrainerCLI(find_configs(arguments), run=False)


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
    adapter = Path(handed_on["cpt"]["--output"]) / "adapter"
    assert handed_on["sft"]["--model.adapter.init_from"] == str(adapter)
    assert handed_on["compare"].cpt_adapter == adapter
    assert handed_on["compare"].sft_adapter == tmp_path / "run" / "sft" / "adapter"


def test_the_control_differs_from_fine_tuning_in_what_was_read_alone(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.demo(tmp_path / "run", seed=3)
    sft, control = handed_on["sft"], handed_on["sft_only"]
    assert {name for name in sft.keys() | control.keys() if sft.get(name) != control.get(name)} == {
        "--output",
        "--model.adapter.init_from",
        "--model.step_name",
        "--data.shares.articles",
    }
    made = parsed(control)
    assert made.model.settings.adapter.for_training().folder is None
    assert made.model.step_name == "sft"
    data = made.datamodule
    assert (data.epoch, data.shares.articles) == ("questions", 0)
    anime = GENERATED / "anime"
    assert data.paths.questions == question_files(anime / "qa.jsonl")
    assert anime / "articles" not in [folder.path for folder in data.paths.general_articles]
    assert data.split_settings == parsed(sft).datamodule.split_settings
    assert data.seed == made.config["seed_everything"] == 3
    assert handed_on["compare"].sft_only_adapter == tmp_path / "run" / "sft_only" / "adapter"


def test_pre_training_and_fine_tuning_mix_what_the_configs_say(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.demo(tmp_path / "run")
    for name, epoch in (("cpt", "articles"), ("sft", "questions")):
        data = parsed(handed_on[name]).datamodule
        assert data.epoch == epoch
        assert data.shares == parsed({"--config": f"{name}.yaml"}).datamodule.shares
        assert data.shares.general_articles > 0 < data.shares.general_questions


def test_a_run_that_was_interrupted_continues_with_what_is_missing(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.reproduce(tmp_path, works=4)
    (tmp_path / "seed-0" / "summary.json").unlink()
    written = (tmp_path / "sample" / "anime" / "qa.jsonl").stat().st_ino
    handed_on.clear()
    shutil.rmtree(tmp_path / "seed-0" / "sft_only")
    experiment.reproduce(tmp_path, works=4)
    assert set(handed_on) == {"sft_only", "compare"}
    assert (tmp_path / "sample" / "anime" / "qa.jsonl").stat().st_ino == written
    handed_on.clear()
    experiment.reproduce(tmp_path, works=4)
    assert not handed_on


def test_seeds_can_be_added_to_a_finished_run(handed_on: dict[str, Any], tmp_path: Path) -> None:
    experiment.reproduce(tmp_path, works=4)
    handed_on.clear()
    experiment.reproduce(tmp_path, works=4, seeds=[0, 5])
    for name in ("cpt", "sft", "sft_only"):
        options = handed_on[name]
        assert options["--output"] == str(tmp_path / "seed-5" / name)
        assert options["--data.seed"] == options["--seed_everything"] == "5"
    pooled = read_summary(tmp_path / "summary.json")
    assert pooled.seeds == (0, 5)
    assert pooled.models["base"].sets[ONLY_READ].n == 2


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_that_cannot_be_pooled_are_refused(seeds: list[int], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected one seed or more, each once"):
        experiment.reproduce(tmp_path / "run", works=4, seeds=seeds)
    assert not (tmp_path / "run").exists()


def test_a_run_with_other_settings_is_not_continued(
    handed_on: dict[str, Any], tmp_path: Path
) -> None:
    experiment.reproduce(tmp_path, works=4)
    handed_on.clear()
    for works in (5, None):
        with pytest.raises(UserError, match=f"works=4, and this one has works={works}"):
            experiment.reproduce(tmp_path, works=works)
    assert not handed_on
    experiment.demo(tmp_path / "demo")
    with pytest.raises(UserError, match="command=demo, and this one has command=reproduce"):
        experiment.reproduce(tmp_path / "demo", works=4)


def test_what_an_earlier_run_left_is_gone(handed_on: dict[str, Any], tmp_path: Path) -> None:
    experiment.demo(tmp_path / "run")
    stale = tmp_path / "run" / "comparison.svg"
    stale.touch()
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
    shutil.rmtree(tmp_path / "run" / "cpt")
    (tmp_path / "run" / "cpt").symlink_to(kept.parent)
    experiment.demo(tmp_path / "run")
    assert kept.is_dir() and not (tmp_path / "run" / "cpt").is_symlink()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="run: expected a folder"):
        experiment.demo(tmp_path / "run")
