"""A user's mistake ends in one clear message and status 2, never in a traceback."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from animelm.data.sources import article_folders
from animelm.data.tokenization import token_store
from animelm.locks import folder_lock


@pytest.fixture
def refused(call, small, tmp_path: Path) -> Callable[..., str]:
    """``refused("fit", …)``: the message of a call that must fail and may not train anything."""

    def run(command: str, config: str, *options: str, short: bool = True) -> str:
        folder = tmp_path / "run"
        own = small(folder) if short else []
        called = call(command, f"--config={config}", *own, *options)
        assert called.status == 2
        assert "Traceback" not in called.err
        assert called.err.count("error: ") == 1
        message = called.err[called.err.index("error: ") :]
        assert len(message) < 400
        assert not (folder / "adapter").exists()
        return message

    return run


def test_a_target_that_matches_nothing(refused, articles_of) -> None:
    message = refused(
        "fit", "cpt.yaml", *articles_of, "--model.lora.target_modules=[q_proj,gate_projj]"
    )
    assert "'gate_projj' matches no linear layer" in message
    assert "Nearest names: gate_proj" in message


def test_a_folder_that_is_not_there(refused, tmp_path: Path) -> None:
    message = refused("fit", "cpt.yaml", f"--data.folder={tmp_path / 'nowhere'}")
    assert f"{tmp_path / 'nowhere'}: no such folder; expected a folder of Markdown" in message


def test_an_empty_file_of_questions(refused, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    message = refused("fit", "sft.yaml", f"--data.records={tmp_path / 'empty.jsonl'}")
    assert f"{tmp_path / 'empty.jsonl'}: holds no question" in message


@pytest.fixture
def three_articles(tmp_path: Path) -> Path:
    folder = tmp_path / "articles"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"# 題{number}\n\n本文です。", encoding="utf-8")
    return folder


def test_a_markdown_file_that_is_not_utf_8(refused, three_articles: Path) -> None:
    wrong = three_articles / "2.md"
    wrong.write_bytes("# 題\n本文です。".encode("shift_jis"))
    message = refused("fit", "cpt.yaml", f"--data.folder={three_articles}")
    assert f"{wrong}: not UTF-8: byte 0x91 at offset 2" in message


def test_a_markdown_file_that_is_not_utf_8_when_worker_processes_find_it(
    refused, three_articles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = three_articles / "2.md"
    wrong.write_bytes("# 題\n本文です。".encode("shift_jis"))
    # The check before tokenizing looks away, as if the file had changed since.
    monkeypatch.setattr(article_folders, "content_hash", lambda folder, paths: "unchecked")
    monkeypatch.setattr(token_store, "_ARTICLES_PER_WORKER", 1)
    own = [f"--data.folder={three_articles}", "--data.general_folders=null", "--data.workers=2"]
    assert f"{wrong}: not UTF-8" in refused("fit", "cpt.yaml", *own)


def test_parquet_that_is_damaged_or_has_no_texts(refused, tmp_path: Path) -> None:
    shard = tmp_path / "shards" / "a.parquet"
    shard.parent.mkdir()
    shard.write_bytes(b"PAR1" * 9)
    message = refused("fit", "cpt.yaml", f"--data.folder={shard.parent}")
    assert f"{shard}: cannot be read as Parquet" in message
    pyarrow.parquet.write_table(pyarrow.table({"content": ["本文"]}), shard)
    message = refused("fit", "cpt.yaml", f"--data.folder={shard.parent}")
    assert f'{shard}: expected a column "text"' in message and "'content'" in message
    message = refused("fit", "sft.yaml", f"--data.records={shard}")
    assert f"{shard}: expected 質問 and 出力" in message


def test_a_base_that_is_not_there(refused, articles_of) -> None:
    message = refused("fit", "cpt.yaml", *articles_of, "--model.base=nowhere/at/all")
    assert "'nowhere/at/all': no such folder" in message


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_base_whose_embedding_has_no_row_for_every_token(
    refused, articles_of, tiny_base: Path, tmp_path: Path, command: str
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    values = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps(values | {"vocab_size": 7}), encoding="utf-8")
    message = refused(command, "cpt.yaml", *articles_of, f"--model.base={base}")
    assert f"{base}: its tokenizer has " in message and "has 7 rows" in message


def test_sft_before_cpt_says_what_to_run_first(refused, questions_of) -> None:
    message = refused("fit", "sft.yaml", *questions_of)
    assert "adapter.init_from runs/cpt: no such folder" in message
    assert "python -m animelm fit --config cpt.yaml" in message


def test_validate_before_fit_names_the_adapter(refused, questions_of) -> None:
    message = refused("validate", "sft.yaml", *questions_of)
    assert "/run/adapter: no such folder" in message and "with --output" in message


def test_a_folder_that_is_no_adapter(refused, questions_of, tmp_path: Path) -> None:
    message = refused("fit", "sft.yaml", *questions_of, f"--model.adapter.init_from={tmp_path}")
    assert f"{tmp_path}: no adapter_config.json" in message


def test_compare_before_fit_names_the_adapter(refused, tiny_base: Path, sample) -> None:
    own = [f"--base={tiny_base}", f"--records={sample.records}", "--general_records=null"]
    own += ["--articles=null", "--general_articles=null"]
    message = refused("compare", "compare.yaml", *own, short=False)
    assert "runs/cpt: no such folder" in message


@pytest.mark.parametrize(
    ("command", "config", "option", "told"),
    [
        ("fit", "cpt.yaml", "--nope=1", "unrecognized arguments: --nope=1"),
        ("fit", "cpt.yaml", "--model.nope=1", "unrecognized arguments: --model.nope=1"),
        ("fit", "cpt.yaml", "--data.nope=1", "Option 'nope' is not accepted"),
        ("fit", "cpt.yaml", "--model.lora.rank=many", "--model.lora.rank: Expected int"),
        ("fit", "cpt.yaml", "--data=NoSuchModule", "NoSuchModule"),
        ("fit", "cpt.yaml", "--trainer.callbacks+=NoSuchCallback", "NoSuchCallback"),
        ("validate", "sft.yaml", "--nope=1", "unrecognized arguments: --nope=1"),
        ("compare", "compare.yaml", "--nope=1", "unrecognized arguments: --nope=1"),
        ("compare", "compare.yaml", "--seed=x", "--seed: Expected int"),
    ],
)
def test_an_option_that_is_not_understood(
    refused, command: str, config: str, option: str, told: str
) -> None:
    message = refused(command, config, option, short=False)
    assert told in message
    assert f"`python -m animelm {command} --help` lists the options" in message


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--model.lora.rank=0", "LoRA's rank is 0; expected 1 or more"),
        ("--model.lora.dropout=1.5", "LoRA's dropout is 1.5; expected at least 0 and below 1"),
        ("--model.memory.stored_activations_gib=-1", "stored_activations_gib is -1.0; expected 0"),
        ("--every_n_steps.checkpoint=0", "every_n_steps.checkpoint is 0; expected 1 or more"),
        ("--model.optimizer.learning_rate=0", "learning_rate is 0.0; expected more than 0"),
        ("--data.shares.questions=2", "shares.questions must be at least 0 and below 1, not 2.0"),
        ("--data.blocks_per_batch=0", "blocks_per_batch must be at least 1, not 0"),
        ("--trainer.max_epochs=-1", "set trainer.max_epochs or max_steps"),
        ("--trainer.precision=1", "--trainer.precision:"),
        ("--ckpt_path=nowhere.ckpt", "--ckpt_path nowhere.ckpt: no such file"),
        (
            "--ckpt_path=last",
            "--ckpt_path last: expected the path of a checkpoint, or last; there is none",
        ),
        ("--trainer.overfit_batches=1", "overfit_batches: our loaders show other documents"),
        ("--trainer.val_check_interval=1000000", "is 1000000, but an epoch has "),
        ("--trainer.logger=CometLogger", "CometLogger needs the package comet-ml, which is not"),
        ("--data.foldr=x", "did you mean --data.folder?"),
        ("--data.shares.qestions=0", "did you mean --data.shares.questions?"),
        ("--model.lora.rnak=1", "did you mean --model.lora.rank?"),
        ("--trainer.accumulate_grad_batches=0", "accumulate_grad_batches is 0; expected 1 or more"),
    ],
)
def test_a_value_that_has_no_meaning(refused, articles_of, option: str, told: str) -> None:
    assert told in refused("fit", "cpt.yaml", *articles_of, option)


def test_an_output_folder_that_cannot_be_made(refused, articles_of, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    option = f"--output={tmp_path / 'file' / 'run'}"
    message = refused("fit", "cpt.yaml", *articles_of, option)
    assert f"{tmp_path / 'file' / 'run'}: cannot be made: Not a directory" in message


@pytest.mark.parametrize("setting", ["save_dir", "name"])
def test_a_folder_of_logs_that_cannot_be_made(
    refused, articles_of, tmp_path: Path, setting: str
) -> None:
    (tmp_path / "file").touch()
    options = [
        "--trainer.logger=TensorBoardLogger",
        f"--trainer.logger.init_args.save_dir={tmp_path}",
        f"--trainer.logger.init_args.{setting}={tmp_path / 'file' / 'logs'}",
    ]
    message = refused("fit", "cpt.yaml", *articles_of, *options)
    assert f"trainer.logger's save_dir {tmp_path / 'file' / 'logs'}" in message
    assert "cannot be made: Not a directory" in message


def test_a_place_for_answers_that_cannot_be_made_is_told_before_the_model_is_loaded(
    refused, questions_of, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "answers.jsonl"
    options = [
        "--trainer.callbacks+=AnswerWriter",
        f"--trainer.callbacks.path={path}",
        f"--model.adapter.evaluate={tmp_path / 'nowhere'}",  # missed when the model is loaded
    ]
    message = refused("predict", "sft.yaml", *questions_of, *options)
    assert f"AnswerWriter's path {path.parent}: cannot be made: File exists" in message


def test_a_cache_that_cannot_be_made(refused, articles_of, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    option = f"--data.init_args.cache={tmp_path / 'file' / 'cache'}"
    message = refused("fit", "cpt.yaml", *articles_of, option)
    assert f"{tmp_path / 'file' / 'cache'}: cannot be made: Not a directory" in message


def test_a_config_that_is_not_yaml(refused, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model:\n  base: [open\n")
    message = refused("fit", f"{tmp_path / 'mine.yaml'}", short=False)
    assert f"{tmp_path / 'mine.yaml'}:3: not valid YAML" in message


def test_a_config_with_a_key_that_is_not_known(refused, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model:\n  base: x\n  bass: x\n")
    assert "'model.bass'" in refused("fit", f"{tmp_path / 'mine.yaml'}", short=False)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["fit"], "required: model.base; they are set in a config, such as --config cpt.yaml"),
        (["validate"], "such as --config sft.yaml"),
        (["compare"], "such as --config compare.yaml"),
        (["ask", "質問"], "such as --base checkpoints/nano-gpt-oss-ja --adapter runs/sft/adapter"),
    ],
)
def test_no_config_at_all(call, command: list[str], told: str) -> None:
    called = call(*command)
    assert called.status == 2
    assert told in called.err


def test_no_config_is_advised_that_the_command_would_refuse(call) -> None:
    called = call("corpus", "build")
    assert called.status == 2
    assert "are required: dump" in called.err and ".yaml" not in called.err


def test_an_output_folder_in_which_another_fit_runs(refused, articles_of, tmp_path: Path) -> None:
    with folder_lock(tmp_path / "run", "--output"):
        message = refused("fit", "cpt.yaml", *articles_of)
    assert f"--output {tmp_path / 'run'}: another command writes there" in message
    assert f"process {os.getpid()} on " in message
    assert not (tmp_path / "run").exists()


def test_a_full_disk_under_tensorboard_is_one_message(
    call, small, articles_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_settings: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(TensorBoardLogger, "log_metrics", full)
    own = [*small(tmp_path / "run", 2), *articles_of, "--trainer.log_every_n_steps=1"]
    called = call("fit", "--config=cpt.yaml", *own)
    assert called.status == 2 and "Traceback" not in called.err
    assert f"{tmp_path / 'run' / 'version_0'}: No space left on device" in called.err
    assert not (tmp_path / "run" / ".animelm.lock").exists()
