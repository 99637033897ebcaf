"""What an adapter was trained on decides what its evaluation may ask, and on which base."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animelm.data.datamodules import DomainDataModule
from animelm.data.domain import Shares
from animelm.provenance.record import RECORD_FILE, read_record
from animelm.train import build

SHARES = "{questions: 0.2, general_articles: 0.1, general_questions: 0.1}"
SPLIT = ["--data.seed=3", "--data.held_out_works=0.5"]


@pytest.fixture(scope="session")
def data_of(sample) -> list[str]:
    """Options of a data module on every source of the sample."""
    return [
        f"--data.folder={sample.articles}",
        f"--data.records={sample.records}",
        f"--data.general_folders=[{sample.general_articles}]",
        f"--data.general_records={sample.general_records}",
        "--data.questions_per_set=null",
    ]


@pytest.fixture(scope="session")
def trained(call, small, data_of, tmp_path_factory) -> Path:
    """An adapter that was trained with SPLIT."""
    folder = tmp_path_factory.mktemp("trained")
    options = [*small(folder), *data_of, *SPLIT, f"--data.shares={SHARES}"]
    called = call("fit", "--config=cpt.yaml", *options, "--trainer.limit_val_batches=0")
    assert called.status == 0, called.err
    return folder / "adapter"


@pytest.fixture(scope="session")
def split(sample, tiny_base: Path):
    """The questions, split with SPLIT."""
    module = DomainDataModule(
        str(tiny_base),
        sample.articles,
        sample.records,
        [sample.general_articles],
        sample.general_records,
        shares=Shares(questions=0.2, general_questions=0.1),
        held_out_works=0.5,
        seed=3,
    )
    return module.data.questions


Evaluate = Callable[..., tuple[int, str]]


@pytest.fixture
def evaluate(call, small, data_of, trained: Path, tmp_path: Path) -> Evaluate:
    """``evaluate("validate", …)``: runs a command on the adapter, into ``tmp_path``."""

    def run(command: str, *options: str) -> tuple[int, str]:
        adapter = f"--model.adapter.evaluate={trained}"
        own = [*small(tmp_path), "--model.generation.max_new_tokens=1", *data_of, adapter]
        called = call(command, "--config=sft.yaml", *own, *options)
        return called.status, called.err

    return run


@pytest.fixture
def base_stays_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a base is loaded: a refusal must come before."""

    def load(*_: object) -> None:
        raise AssertionError("the base was loaded")

    monkeypatch.setattr(build, "load_base", load)


def test_validate_asks_what_the_adapter_has_not_been_trained_on(
    evaluate: Evaluate, split, tmp_path: Path
) -> None:
    status, message = evaluate("validate")
    assert status == 0, message
    [events] = (tmp_path / "version_0").glob("events.out.*")
    log = EventAccumulator(str(events)).Reload()
    asked = {name: log.Scalars(f"validation/{name}/questions")[-1].value for name in split.dev}
    assert asked == {name: len(records) for name, records in split.dev.items()}
    assert len({record.work for record in split.train}) == 2  # of four; by default it is three


def test_predict_asks_all_that_is_held_out_of_the_domain(
    evaluate: Evaluate, split, tmp_path: Path
) -> None:
    status, message = evaluate("predict")
    assert status == 0, message
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {(line["held_out_set"], line["id"]) for line in map(json.loads, lines)}
    held_out = {
        (name, record.id)
        for part in (split.dev, split.test)
        for name, records in part.items()
        for record in records
        if record.domain == "anime"
    }
    assert asked == held_out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data.seed=4", "was trained with seed=3, and this run has seed=4"),
        (
            "--data.held_out_works=0.25",
            "was trained with held_out_works=0.5, and this run has held_out_works=0.25",
        ),
    ],
)
def test_another_split_is_refused_before_the_base_is_loaded(
    evaluate: Evaluate, trained: Path, base_stays_unread: None, option: str, message: str
) -> None:
    status, told = evaluate("validate", option)
    assert status == 2
    assert f"error: {trained} {message}" in told and "to use the adapter's" in told


def test_another_base_is_refused_before_it_is_loaded(
    evaluate: Evaluate, tiny_base: Path, base_stays_unread: None, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_base, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    changed = {name: -weight for name, weight in weights.items()}
    save_file(changed, other / "model.safetensors", {"format": "pt"})
    status, told = evaluate("validate", f"--model.base={other}")
    assert status == 2
    assert f"was trained on the base {tiny_base} (weights" in told
    assert f"and {other} is another one (weights" in told


def test_other_questions_are_refused_before_the_base_is_loaded(
    evaluate: Evaluate, sample, base_stays_unread: None, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    lines = sample.records.read_text(encoding="utf-8").splitlines()
    other.write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    status, told = evaluate("validate", f"--data.records={other}")
    assert status == 2
    assert f"was trained on the questions of {sample.records} (" in told
    assert f"and {other} holds others (" in told


def test_an_adapter_without_a_record_is_evaluated_as_the_options_say(
    evaluate: Evaluate, trained: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(trained, tmp_path / "adapter")
    (other / RECORD_FILE).unlink()
    options = [f"--model.adapter.evaluate={other}", "--data.seed=4"]
    status, told = evaluate("validate", *options, "--data.questions_per_set=1")
    assert status == 0, told


def test_a_record_that_is_damaged_is_named(
    evaluate: Evaluate, trained: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(trained, tmp_path / "adapter")
    (other / RECORD_FILE).write_text("{", encoding="utf-8")
    status, told = evaluate("validate", f"--model.adapter.evaluate={other}")
    assert status == 2
    assert f"{other / RECORD_FILE}: not valid JSON" in told


@pytest.fixture
def fine_tune(call, small, data_of, trained: Path, tmp_path: Path) -> Evaluate:
    """``fine_tune(…)``: SFT from the adapter, into ``tmp_path``."""

    def run(*options: str) -> tuple[int, str]:
        start = f"--model.adapter.init_from={trained}"
        own = [*small(tmp_path), *data_of, start, "--trainer.limit_val_batches=0"]
        called = call("fit", "--config=sft.yaml", *own, *options)
        return called.status, called.err

    return run


def test_fine_tuning_keeps_the_split_of_the_adapter_that_it_starts_from(
    fine_tune: Evaluate, tmp_path: Path
) -> None:
    status, told = fine_tune()
    assert status == 0, told
    cpt, sft = read_record(tmp_path / "adapter")
    assert (sft.split.seed, sft.split.held_out_works) == (3, 0.5)
    assert sft.split == cpt.split


def test_fine_tuning_with_another_split_is_refused_before_the_base_is_loaded(
    fine_tune: Evaluate, base_stays_unread: None, tmp_path: Path
) -> None:
    status, told = fine_tune("--data.held_out_works=0.25")
    assert status == 2
    assert "trained with held_out_works=0.5, and this run has held_out_works=0.25" in told
    assert not (tmp_path / "adapter").exists()


def test_fine_tuning_on_other_questions_warns_and_records_both(
    fine_tune: Evaluate, sample, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    lines = sample.records.read_text(encoding="utf-8").splitlines()
    other.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="Questions of the earlier data may count as held out"):
        status, told = fine_tune(f"--data.records={other}")
    assert status == 0, told
    paths = [
        [data.path for data in step.data if data.role == "questions"]
        for step in read_record(tmp_path / "adapter")
    ]
    assert paths == [[str(sample.records)], [str(other)]]
