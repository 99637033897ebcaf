"""Whole exports of a tiny base, opened by stock tools in processes of their own."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from animelm.errors import UserError
from animelm.export import run as run_module
from animelm.export.run import ExportFailed, export
from animelm.export.settings import ExportSettings
from animelm.model.checkpoint.exported import whole_export
from animelm.model.lora.files import WEIGHTS_FILE
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import TrainingStep, read_record, write_record


@pytest.fixture
def settings(adapter: Path, questions: Path, tmp_path: Path) -> ExportSettings:
    return ExportSettings(
        adapter, "peft", tmp_path / "out", verify=questions, questions_per_batch=4, max_new_tokens=4
    )


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("folder", ["adapter", "stacked"])
def test_an_exported_adapter_answers_in_stock_peft_as_here(
    settings: ExportSettings, request: pytest.FixtureRequest, folder: str
) -> None:
    source = request.getfixturevalue(folder)
    steps = [TrainingStep("cpt", "0.1.0", 1, record_base(run_module.compose_adapter(source).base))]
    copy = shutil.copytree(source, settings.output.parent / "recorded")
    write_record(copy, steps)
    result = export(replace(settings, adapter=copy))
    assert result is not None and not result.failures
    assert result.same_answers == 1
    assert result.largest_logit_difference is not None
    assert result.largest_logit_difference < 1e-4
    assert read_record(settings.output) == tuple(steps)
    written = json.loads((settings.output / "export.json").read_text(encoding="utf-8"))
    assert written["check"]["same_answers"] == 1 and written["format"] == "peft"


def mispair(folder: Path) -> None:
    """Gives every expert another one's columns of B, which no shape shows."""
    weights = load_file(folder / WEIGHTS_FILE)
    for name, tensor in weights.items():
        if ".experts." in name and "lora_B" in name:
            weights[name] = tensor.unflatten(1, (2, -1)).roll(1, -1).flatten(1).contiguous()
    save_file(weights, folder / WEIGHTS_FILE)


def test_an_adapter_with_its_experts_paired_wrongly_fails_and_is_left_aside(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = run_module.write_peft

    def write_wrongly(base: str, adapter: object, folder: Path) -> None:
        write(base, adapter, folder)  # type: ignore[arg-type]
        mispair(folder)

    monkeypatch.setattr(run_module, "write_peft", write_wrongly)
    with pytest.raises(ExportFailed, match=r"out\.failed: .*logits differ by"):
        export(settings)
    assert left_in(settings.output.parent) == ["out.failed"]
    record = json.loads((settings.output.parent / "out.failed/export.json").read_text("utf-8"))
    assert "logits differ" in " ".join(record["check"]["failures"])


def test_merged_weights_answer_in_stock_transformers_as_the_adapter_does(
    settings: ExportSettings,
) -> None:
    result = export(replace(settings, to="merged", shard_gib=0.002))
    assert result is not None and not result.failures
    assert result.loss_gain_kept == pytest.approx(1, abs=0.05)
    assert (settings.output / "model.safetensors.index.json").is_file()
    assert whole_export(settings.output) == "none"


def test_merged_weights_without_a_part_of_the_training_fail(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = run_module.compose_adapter

    def without_experts(folder: Path) -> run_module.ComposedAdapter:
        whole = compose(folder)
        kept = {path: pair for path, pair in whole.pairs.items() if ".experts." not in path}
        return replace(whole, pairs=kept)

    monkeypatch.setattr(run_module, "compose_adapter", without_experts)
    with pytest.raises(ExportFailed, match="of the training's gain"):
        export(replace(settings, to="merged"))


def test_experts_in_mxfp4_are_opened_and_their_gain_is_measured(settings: ExportSettings) -> None:
    folder = settings.output
    try:
        result = export(replace(settings, to="mxfp4"))
    except ExportFailed as failure:  # what a random adapter gains is noise
        folder, result = failure.folder, failure.result
        assert all("of the training's gain" in each for each in result.failures)
    assert result is not None and result.loss_gain_kept is not None
    assert whole_export(folder) == "mxfp4"
    weights = load_file(folder / "model.safetensors")
    assert weights["model.layers.0.mlp.experts.down_proj_blocks"].dtype == torch.uint8


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="the extra `gguf` is not installed")
def test_llama_cpp_answers_from_the_gguf_file(settings: ExportSettings) -> None:
    result = export(replace(settings, to="gguf"))
    assert result is not None and not result.failures
    assert result.tool == "llama_cpp"
    assert result.same_answers is not None and result.same_answers >= 0.5


def test_without_llama_cpp_every_tensor_of_the_file_is_read_back(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "find_spec", lambda name: None)
    result = export(replace(settings, to="gguf", gguf_type="mxfp4"))
    assert result is not None and not result.failures
    assert "no llama.cpp has opened the file" in result.warnings[0]


def test_an_existing_folder_is_left_as_it_is(settings: ExportSettings) -> None:
    settings.output.mkdir()
    (settings.output / "mine").touch()
    with pytest.raises(UserError, match=r"--output .*out: exists; name a new folder"):
        export(settings)
    assert left_in(settings.output.parent) == ["out"] and left_in(settings.output) == ["mine"]


def test_an_interruption_leaves_nothing_behind(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "copy_record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(replace(settings, check=False))
    assert left_in(settings.output.parent) == []


def test_a_full_disk_is_one_message_and_leaves_nothing_behind(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "model.safetensors")

    monkeypatch.setattr(run_module, "write_merged", full)
    with pytest.raises(UserError, match=r"model\.safetensors: cannot be written: No space left"):
        export(replace(settings, to="merged", check=False))
    assert left_in(settings.output.parent) == []


def test_an_adapter_of_another_base_is_refused_before_anything_is_written(
    settings: ExportSettings, checkpoint: Path, make_adapter: Callable[..., Path]
) -> None:
    recorded = shutil.copytree(settings.adapter, settings.output.parent / "recorded")
    base = run_module.compose_adapter(recorded).base
    write_record(recorded, [TrainingStep("cpt", "0.1.0", 1, record_base(base))])
    with pytest.raises(UserError, match="was trained on the base"):
        export(replace(settings, adapter=recorded, base=str(checkpoint)))
    assert left_in(settings.output.parent) == ["recorded"]
