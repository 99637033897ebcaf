"""fit, validate and compare in the order in which a user calls them."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animelm.cli.configs import find_configs
from animelm.cli.quiet import quiet_libraries
from animelm.cli.trainer import TrainerCLI
from animelm.data.batches.batch import PackedBatch
from animelm.data.held_out import QUESTION_SETS, SplitSettings
from animelm.errors import UserError
from animelm.provenance.fingerprints import record_base, record_data
from animelm.provenance.record import read_record
from animelm.train.callbacks import AdapterCheckpoint, RouterStatistics, Throughput
from animelm.train.module import AdaptedLM


def scalars(folder: Path) -> dict[str, float]:
    """The last value of each scalar that a run wrote for TensorBoard."""
    [events] = folder.glob("events.out.*")
    log = EventAccumulator(str(events)).Reload()
    return {tag: log.Scalars(tag)[-1].value for tag in log.Tags()["scalars"]}


@dataclass(frozen=True)
class Runs:
    """CPT, and SFT from its adapter."""

    folder: Path
    cpt_out: str
    sft_out: str

    @property
    def cpt(self) -> Path:
        return self.folder / "cpt"

    @property
    def sft(self) -> Path:
        return self.folder / "sft"


@pytest.fixture(scope="session")
def runs(call, small, articles_of, questions_of, tmp_path_factory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    cpt = call("fit", "--config=cpt.yaml", *small(folder / "cpt", 4), *articles_of)
    assert cpt.status == 0, cpt.err
    start = f"--model.adapter.init_from={folder / 'cpt' / 'adapter'}"
    sft = call("fit", "--config", "sft.yaml", *small(folder / "sft", 3), *questions_of, start)
    assert sft.status == 0, sft.err
    return Runs(folder, cpt.out, sft.out)


def test_fit_reports_what_is_trained(runs: Runs) -> None:
    assert "gate_proj, up_proj" in runs.cpt_out
    assert "43,008" in runs.cpt_out  # rank 16 on every projection of the tiny base


def test_fit_writes_the_adapter_as_peft_does(runs: Runs) -> None:
    files = {path.name for path in (runs.cpt / "adapter").iterdir()}
    assert files == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "adapter_record.json",
        "held_out.jsonl",
    }
    weights = load_file(runs.cpt / "adapter" / "adapter_model.safetensors")
    assert len(weights) == 2 * 2 * (4 + 2)  # A and B; layers; attention, and all experts at once
    assert all(weight.any() for weight in weights.values())


def test_the_record_of_sft_lists_cpt_then_sft_with_base_data_and_split(
    runs: Runs, tiny_base: Path, sample
) -> None:
    cpt, sft = read_record(runs.sft / "adapter")
    assert (cpt.step, sft.step) == ("cpt", "sft")
    assert (cpt.optimizer_steps, sft.optimizer_steps) == (4, 3)
    assert cpt.base == sft.base == record_base(str(tiny_base))
    assert cpt.data == (
        record_data("articles", sample.articles),
        record_data("general_articles", sample.general_articles),
        record_data("general_questions", sample.general_records),
    )
    assert sft.data == (
        record_data("questions", sample.records),
        record_data("general_questions", sample.general_records),
    )
    assert cpt.split == SplitSettings(
        held_out_wordings=0.25, held_out_subjects=0.25, validation_share=0.25
    )
    assert sft.split == SplitSettings(
        held_out_wordings=0.25,
        held_out_works=0.25,
        held_out_subjects=0.25,
        validation_share=0.25,  # of the articles that CPT read
    )
    assert (cpt.settings["lora.rank"], cpt.settings["compute.dtype"]) == (16, "float32")
    assert (sft.init_adapter, sft.init_mode) == (str(runs.cpt / "adapter"), "continue")
    assert read_record(runs.cpt / "adapter") == (cpt,)


def test_a_checkpoint_holds_only_what_is_trained_and_loads_without_running_code(
    runs: Runs,
) -> None:
    path = runs.cpt / "version_0" / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    assert len(state) == 48
    assert all(".lora_" in name for name in state)


def test_a_run_is_repeated_from_the_config_that_it_saved(call, runs: Runs, tmp_path: Path) -> None:
    saved = runs.cpt / "version_0" / "config.yaml"
    called = call("fit", f"--config={saved}", f"--trainer.default_root_dir={tmp_path / 'again'}")
    assert called.status == 0, called.err
    first, again = (
        load_file(folder / "adapter" / "adapter_model.safetensors")
        for folder in (runs.cpt, tmp_path / "again")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_base_of_the_model_is_also_that_of_the_data(tiny_base: Path) -> None:
    options = find_configs(["--config=sft.yaml", f"--model.base={tiny_base}"])
    with quiet_libraries():
        made = TrainerCLI(options, run=False)
    assert made.datamodule.base == made.model.settings.base == str(tiny_base)


def test_callbacks_of_a_config_are_added_to_the_default_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "trainer:\n"
        "  callbacks:\n"
        "    - {class_path: RouterStatistics, init_args: {every_n_steps: 3}}\n"
        "    - {class_path: lightning.pytorch.callbacks.LearningRateMonitor}\n",
        encoding="utf-8",
    )
    with quiet_libraries():
        made = TrainerCLI(find_configs(["--config=cpt.yaml", f"--config={own}"]), run=False)
    statistics = [c for c in made.trainer.callbacks if isinstance(c, RouterStatistics)]
    assert [callback.schedule.every_n_steps for callback in statistics] == [3]
    kinds = {type(callback) for callback in made.trainer.callbacks}
    assert {LearningRateMonitor, Throughput, AdapterCheckpoint} <= kinds


@pytest.mark.parametrize(
    ("option", "folder"),
    [("--trainer.logger=null", "runs/cpt"), ("--trainer.logger=CSVLogger", None)],
)
def test_logs_go_to_the_output_folder_unless_a_config_has_its_own_logger(
    option: str, folder: str | None
) -> None:
    own = [option, "--trainer.logger.save_dir=elsewhere"] if folder is None else [option]
    with quiet_libraries():
        made = TrainerCLI(find_configs(["--config=cpt.yaml", *own]), run=False)
    [logger] = made.trainer.loggers
    if folder:
        assert Path(logger.log_dir) == Path(folder, "version_0")
    else:
        assert isinstance(logger, CSVLogger)


def test_an_old_name_of_a_setting_ends_the_command_with_the_new_name(call) -> None:
    for command in ("fit", "inspect", "plan"):
        called = call(command, "--config=cpt.yaml", "--model.rank=8")
        assert called.status == 2
        assert called.err == "error: --model.rank is now called model.lora.rank\n"


def test_cpt_logs_its_loss_and_the_perplexity_of_held_out_articles(runs: Runs) -> None:
    logged = scalars(runs.cpt / "version_0")
    for name in ("anime_articles", "general_articles"):
        assert f"validation/{name}/perplexity" in logged
    # Random weights know nothing: about as unsure as the vocabulary is large.
    assert 1000 < logged["validation/anime_articles/perplexity"] < 100_000


def test_a_fit_begins_with_the_figures_of_the_base_also_after_an_earlier_adapter(
    call, runs: Runs, small, articles_of, tmp_path: Path
) -> None:
    def first_figure(name: str, *options: str) -> tuple[int, float]:
        folder, base = tmp_path / name, "--trainer.num_sanity_val_steps=-1"
        called = call("fit", "--config=cpt.yaml", *small(folder), *articles_of, base, *options)
        assert called.status == 0, called.err
        log = EventAccumulator(str(folder / "version_0")).Reload()
        first = log.Scalars("validation/anime_articles/perplexity")[0]
        return first.step, first.value

    step, perplexity = first_figure("new")
    assert step == 0
    assert first_figure("on", f"--model.adapter.init_from={runs.cpt / 'adapter'}") == (
        0,
        pytest.approx(perplexity, rel=1e-5),
    )
    with quiet_libraries():
        made = TrainerCLI(find_configs(["--config=cpt.yaml"]), run=False)
    assert made.trainer.num_sanity_val_steps == float("inf"), "by default the base is asked"


def test_validate_logs_accuracy_per_held_out_set_and_direction(
    call, runs: Runs, small, questions_of, tmp_path: Path
) -> None:
    adapter = f"--model.adapter.evaluate={runs.sft / 'adapter'}"
    folder = tmp_path / "validated"
    called = call("validate", "--config=sft.yaml", *small(folder), *questions_of, adapter)
    assert called.status == 0, called.err
    logged = scalars(folder / "version_0")
    for name in QUESTION_SETS:
        assert {f"accuracy/{name}", f"validation/{name}/exact_match"} <= set(logged)
        assert logged[f"validation/{name}/questions"] == 4
        directions = [
            logged[f"validation_directions/{name}_{direction}/questions"]
            for direction in ("forward", "reverse")
            if f"validation_directions/{name}_{direction}/accuracy" in logged
        ]
        assert sum(directions) == 4
    assert "LoRA targets" not in called.out  # nothing is trained
    assert called.out.count("anime_only_read, forward") == 1
    assert "Validate metric" not in called.out


def test_a_second_adapter_is_stacked_on_the_first_and_evaluated_with_it(
    call, runs: Runs, small, questions_of, tmp_path: Path
) -> None:
    start = [f"--model.adapter.init_from={runs.cpt / 'adapter'}", "--model.adapter.init_mode=stack"]
    folder = tmp_path / "stacked"
    called = call("fit", "--config=sft.yaml", *small(folder, 2), *questions_of, *start)
    assert called.status == 0, called.err
    below = load_file(folder / "adapter" / "stacked_on" / "adapter_model.safetensors")
    cpt = load_file(runs.cpt / "adapter" / "adapter_model.safetensors")
    assert below.keys() == cpt.keys()
    assert all(torch.equal(below[name], cpt[name]) for name in cpt)
    assert [step.step for step in read_record(folder / "adapter")] == ["cpt", "sft"]
    evaluated = [f"--model.adapter.evaluate={folder / 'adapter'}"]
    called = call("validate", "--config=sft.yaml", *small(folder), *questions_of, *evaluated)
    assert called.status == 0, called.err


class Killed(Exception):
    """Stands for the end of a process at an instant nobody chose."""


def test_a_killed_run_resumes_to_the_adapter_of_an_unbroken_one(
    call, small, articles_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, gradient accumulation, 8-bit optimizer states and a kill amid an epoch."""

    def fit(folder: Path, *options: object):
        checkpoints = "--trainer.callbacks+=ModelCheckpoint"
        return call(
            "fit",
            "--config=cpt.yaml",
            *small(folder, 6),
            *articles_of,
            "--model.lora.rank=64",  # matrices of 4,096 and more have 8-bit states
            "--model.lora.dropout=0.2",
            "--trainer.accumulate_grad_batches=2",
            checkpoints,
            "--trainer.callbacks.every_n_train_steps=1",
            "--trainer.callbacks.save_top_k=-1",
            f"--trainer.callbacks.dirpath={folder / 'steps'}",
            *options,
        )

    assert fit(tmp_path / "unbroken").status == 0
    with monkeypatch.context() as patch:
        step = AdaptedLM.training_step

        def dies(self: AdaptedLM, batch: PackedBatch, batch_idx: int) -> torch.Tensor:
            if batch_idx == 5:  # the second half of the third optimizer step
                raise Killed
            return step(self, batch, batch_idx)

        patch.setattr(AdaptedLM, "training_step", dies)
        with pytest.raises(Killed):
            fit(tmp_path / "killed")
    assert not (tmp_path / "killed" / "adapter").exists()
    [latest] = (tmp_path / "killed" / "steps").glob("*step=2.ckpt")
    resumed = fit(tmp_path / "killed", f"--ckpt_path={latest}")
    assert resumed.status == 0, resumed.err
    unbroken, killed = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("unbroken", "killed")
    )
    assert all(torch.equal(unbroken[name], killed[name]) for name in unbroken)


def kill_at(patch: pytest.MonkeyPatch, epoch: int, batch: int, number: int) -> None:
    """Sends a signal to this process in the middle of a batch."""
    step = AdaptedLM.training_step

    def ended(self: AdaptedLM, data: PackedBatch, batch_idx: int) -> torch.Tensor:
        if (self.current_epoch, batch_idx) == (epoch, batch):
            os.kill(os.getpid(), number)
        return step(self, data, batch_idx)

    patch.setattr(AdaptedLM, "training_step", ended)


def command_in(message: str) -> list[str]:
    """The options of the command that a message ends with."""
    [line] = [line for line in message.splitlines() if line.startswith("  python -m animelm fit ")]
    return shlex.split(line)[3:]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)]
)
def test_a_fit_that_a_signal_ends_goes_on_to_the_adapter_of_an_unbroken_one(
    call, small, articles_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number, status
) -> None:
    """In the middle of an epoch and of an accumulation; the path needs quotes in a shell."""

    def options(folder: Path) -> list[str]:
        more = ["--trainer.accumulate_grad_batches=2", "--model.lora.dropout=0.2"]
        return ["--config=cpt.yaml", *small(folder, 6), *articles_of, *more]

    folder = tmp_path / "a run's"
    assert call("fit", *options(tmp_path / "unbroken")).status == 0
    with monkeypatch.context() as patch:
        kill_at(patch, 0, 2, number)
        called = call("fit", *options(folder))
    assert called.status == status
    assert not (folder / "adapter").exists()
    assert f"fit was ended by {signal.Signals(number).name}; go on with\n" in called.err
    resumed = call(*command_in(called.err))
    assert resumed.status == 0, resumed.err
    # Logs and checkpoints go on in the same folder, and its config begins at the start.
    assert [path.name for path in folder.glob("version_*")] == ["version_0"]
    saved = (folder / "version_0" / "config.yaml").read_text(encoding="utf-8")
    assert "ckpt_path: null" in saved
    unbroken, ended = (
        load_file(path / "adapter" / "adapter_model.safetensors")
        for path in (tmp_path / "unbroken", folder)
    )
    assert all(torch.equal(unbroken[name], ended[name]) for name in unbroken)
    assert signal.getsignal(number) == BEFORE[number]


BEFORE = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}


def test_a_fit_that_ends_while_it_validates_goes_on_behind_the_validation(
    call, small, articles_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(folder: Path) -> list[str]:
        twice = "--trainer.val_check_interval=2"
        return ["--config=cpt.yaml", *small(folder, 4), *articles_of, twice]

    def ended(self: AdaptedLM, *batch: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("not ended at once")

    assert call("fit", *options(tmp_path / "unbroken")).status == 0
    with monkeypatch.context() as patch:
        patch.setattr(AdaptedLM, "validation_step", ended)
        called = call("fit", *options(tmp_path / "ended"))
    assert called.status == 143, called.err
    assert call(*command_in(called.err)).status == 0
    unbroken, resumed = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("unbroken", "ended")
    )
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_a_fit_that_ends_before_it_trains_says_that_there_is_no_checkpoint(
    call, small, articles_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        AdaptedLM, "configure_model", lambda self: os.kill(os.getpid(), signal.SIGINT)
    )
    called = call("fit", "--config=cpt.yaml", *small(tmp_path / "run", 2), *articles_of)
    assert called.status == 130
    assert "ended by SIGINT; it had not written a checkpoint yet" in called.err


def test_a_checkpoint_of_other_targets_is_refused(
    call, runs: Runs, small, articles_of, tmp_path: Path
) -> None:
    checkpoint = runs.cpt / "version_0" / "checkpoints" / "last.ckpt"
    options = ["--model.lora.target_modules=[q_proj]", f"--ckpt_path={checkpoint}"]
    called = call("fit", "--config=cpt.yaml", *small(tmp_path / "run"), *articles_of, *options)
    assert called.status == 2
    assert "the checkpoint does not fit the settings" in called.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data.validation_share=0.3", "data.validation_share: 0.25 in the checkpoint, 0.3 here"),
        (
            "--data.general_folders=[animelm/sample/generated/general/articles]",
            "the hash of its general articles: ",
        ),
    ],
)
def test_a_checkpoint_of_other_data_or_another_split_is_refused(
    call, runs: Runs, small, articles_of, tmp_path: Path, option: str, message: str
) -> None:
    checkpoint = runs.cpt / "version_0" / "checkpoints" / "last.ckpt"
    options = [*small(tmp_path / "run", 5), *articles_of, option, f"--ckpt_path={checkpoint}"]
    called = call("fit", "--config=cpt.yaml", *options)
    assert called.status == 2
    assert "the checkpoint was written by a run with other settings:\n" in called.err
    assert f"  {message}" in called.err
    assert not (tmp_path / "run" / "adapter").exists()


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a callback; importing it makes the file ``ran``."""
    name = f"package_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "from lightning.pytorch.callbacks import Callback\n"
        "class Own(Callback):\n    pass\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize(
    "setting",
    [
        "--trainer.callbacks+=NAME.Own",
        "--trainer.callbacks=[{class_path: NAME.Own}]",
        "--data=NAME.Own",
        "--trainer.logger={class_path: NAME.Own}",
        "--trainer.strategy.help=NAME.Own",
    ],
)
def test_a_class_of_another_package_is_not_even_imported(
    call, own_package: str, tmp_path: Path, setting: str
) -> None:
    called = call("inspect", "--config=cpt.yaml", setting.replace("NAME", own_package))
    assert called.status == 2
    assert f"add --allow_classes_from={own_package} to the command" in called.err
    assert not (tmp_path / "ran").exists()


def test_only_the_command_line_allows_classes_of_another_package(
    own_package: str, tmp_path: Path
) -> None:
    config = tmp_path / "own.yaml"
    named = f"trainer:\n  callbacks: [{{class_path: {own_package}.Own}}]\n"
    config.write_text(f"{named}allow_classes_from: {own_package}\n", encoding="utf-8")
    options = ["--config=cpt.yaml", f"--config={config}"]
    with pytest.raises(
        UserError, match=r"own\.yaml: allow_classes_from: only the command line can"
    ):
        TrainerCLI(find_configs(options), run=False)
    config.write_text(named, encoding="utf-8")
    with quiet_libraries():
        allowed = [*find_configs(options), f"--allow_classes_from={own_package}"]
        made = TrainerCLI(allowed, run=False)
    assert "Own" in {type(callback).__name__ for callback in made.trainer.callbacks}


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_hyper_parameters_of_a_checkpoint_never_become_settings(
    call,
    small,
    articles_of,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class that one of them names is not even imported."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"payload_of_{command}.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nclass X:\n    pass\n",
        encoding="utf-8",
    )
    hostile = {"optimizer": {"class_path": f"payload_of_{command}.X"}}
    torch.save({"hyper_parameters": hostile}, tmp_path / "last.ckpt")
    options = [*small(tmp_path / "run"), *articles_of, f"--ckpt_path={tmp_path / 'last.ckpt'}"]
    called = call(command, "--config=cpt.yaml", *options)
    assert called.status == 2
    assert f"{tmp_path / 'last.ckpt'}: holds no state_dict" in called.err
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def copied(runs: Runs, sample, articles_of, tmp_path: Path) -> tuple[Path, list[str]]:
    """The articles of a finished run in a folder of their own, and the options of that run."""
    folder = tmp_path / "articles"
    shutil.copytree(sample.articles, folder)
    checkpoint = runs.cpt / "version_0" / "checkpoints" / "last.ckpt"
    return folder, [*articles_of, f"--data.folder={folder}", f"--ckpt_path={checkpoint}"]


def swap(folder: Path) -> None:
    first, second = sorted(folder.glob("*.md"))[:2]
    texts = first.read_bytes(), second.read_bytes()
    first.write_bytes(texts[1])
    second.write_bytes(texts[0])


def edit(folder: Path) -> None:
    path = min(folder.glob("*.md"))
    path.write_text(path.read_text(encoding="utf-8") + "字", encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        edit,
        swap,
        lambda folder: min(folder.glob("*.md")).rename(folder / "9999.md"),
        lambda folder: shutil.copy(min(folder.glob("*.md")), folder / "9999.md"),
    ],
    ids=["a character", "two swapped", "one renamed", "one added"],
)
def test_a_run_does_not_go_on_with_a_changed_corpus(
    call, small, copied, tmp_path: Path, change
) -> None:
    folder, options = copied
    change(folder)
    called = call("fit", "--config=cpt.yaml", *small(tmp_path / "run", 4), *options)
    assert called.status == 2
    assert "  the hash of its articles: " in called.err
    assert "add --model.allowed_changes=[data]" in called.err


def test_a_run_goes_on_with_a_changed_corpus_and_more_epochs_on_purpose(
    call, small, copied, tmp_path: Path
) -> None:
    folder, options = copied
    for path in sorted(folder.glob("*.md"))[:4]:
        shutil.copy(path, folder / f"9-{path.name}")
    allowed = "--model.allowed_changes=[data,trainer.max_epochs]"
    more = ["--trainer.max_epochs=2", allowed]
    with pytest.warns(UserWarning, match="the run goes on with other settings than it began with"):
        called = call("fit", "--config=cpt.yaml", *small(tmp_path / "run", 4), *options, *more)
    assert called.status == 0, called.err
    [step] = read_record(tmp_path / "run" / "adapter")
    assert step.optimizer_steps == 8


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"sharded": True}, "the optimizer states in the checkpoint cannot be joined"),
        ({"random_states": [{}, {}]}, "an optimizer step covered"),
    ],
)
def test_a_checkpoint_of_other_processes_that_does_not_fit_is_refused(
    call, runs: Runs, small, articles_of, tmp_path: Path, written: dict, told: str
) -> None:
    state = torch.load(runs.cpt / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    state["animelm_processes"] |= written
    torch.save(state, tmp_path / "other.ckpt")
    options = [*small(tmp_path / "run", 4), *articles_of, f"--ckpt_path={tmp_path / 'other.ckpt'}"]
    called = call("fit", "--config=cpt.yaml", *options)
    assert called.status == 2
    assert told in called.err


def test_another_process_that_was_lost_is_one_message(
    call, small, articles_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(self: AdaptedLM, *_: object) -> None:
        monkeypatch.setattr(type(self.trainer), "world_size", 2)
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")

    monkeypatch.setattr(AdaptedLM, "on_train_batch_end", lose)
    called = call("fit", "--config=cpt.yaml", *small(tmp_path / "run", 2), *articles_of)
    assert called.status == 2 and "Traceback" not in called.err
    assert "error: another process has ended, or has not answered in time ([gloo" in called.err
    assert "it had not written a checkpoint yet, so it cannot be resumed" in called.err


def test_compare_prints_one_table_and_writes_the_summary(
    call, runs: Runs, sample, tiny_base: Path, tmp_path: Path
) -> None:
    called = call(
        "compare",
        "--config=compare.yaml",
        f"--base={tiny_base}",
        f"--cpt_adapter={runs.cpt / 'adapter'}",
        f"--sft_adapter={runs.sft / 'adapter'}",
        f"--records={sample.records}",
        f"--general_records={sample.general_records}",
        f"--articles={sample.articles}",
        f"--general_articles={sample.general_articles}",
        "--questions_per_set=6",
        "--trained_questions=5",
        "--max_new_tokens=4",
        "--compute_type=float32",
        f"--output={tmp_path}",
    )
    assert called.status == 0, called.err
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert list(summary["models"]) == ["base", "cpt", "sft"]
    for model in summary["models"].values():
        for name in QUESTION_SETS:
            assert model[name]["n"] == 6
            assert 0 <= model[name]["accuracy"] <= 1
            # No interval can be drawn from a single work.
            assert (model[name]["ci95"] is None) == (model[name]["works"] < 2)
        assert model["anime_only_read"]["works"] == 1 < model["anime_unseen_wording"]["works"]
        assert model["perplexity_anime"] > 1 and model["perplexity_general"] > 1
    assert summary["trainable_parameters_per_target"]["down_proj"] > 0
    answers = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(answers) == 3 * (4 * 6 + 5)
    assert "summary.json" in called.out


def test_fit_prints_no_warning_that_the_user_cannot_act_on(
    small, articles_of, tmp_path: Path, project_root: Path
) -> None:
    """In a process of its own, where the libraries' warnings reach the error stream."""
    options = [*small(tmp_path / "run", 5), *articles_of]
    ran = subprocess.run(
        [sys.executable, "-m", "animelm", "fit", "--config=cpt.yaml", *options],
        cwd=project_root,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    noise = ("Warning", "warn(", "litlogger", "litmodels", "TPU", "workers", "deprecated")
    # That so few questions and steps say little is true, and the message says what to do.
    small_data = ("below 30 an accuracy says little", "optimizer steps: with fewer than 100")
    shown = [line for line in ran.stderr.splitlines() if not any(w in line for w in small_data)]
    assert not [line for line in shown if any(word in line for word in noise)]
    assert "\nwarning: the run takes 5 optimizer steps: with fewer than 100" in f"\n{ran.stderr}"
    assert (tmp_path / "run" / "adapter" / "adapter_config.json").is_file()
