import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from animelm.data.sources.qa import QARecord
from animelm.errors import UserError
from animelm.evaluate import compare as compare_module
from animelm.evaluate.compare import CompareSettings, compare, with_adapter
from animelm.evaluate.generate import load_for_inference
from animelm.evaluate.results import read_results
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, save_adapter
from animelm.model.lora.targets import DEFAULT_TARGETS

WORKS = 8


@pytest.fixture(scope="module")
def adapters(base: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters that change the model, each in another way."""
    folders = {}
    for seed, name in enumerate(("cpt", "sft")):
        torch.manual_seed(seed)
        model = add_adapter(load_base(base, "nf4"), LoraSettings(rank=2, alpha=8))
        for path, parameter in model.named_parameters():
            if "lora_B" in path:
                torch.nn.init.normal_(parameter, std=0.5)
        folders[name] = tmp_path_factory.mktemp(name) / "adapter"
        save_adapter(model, folders[name])
    return folders


def _write_records(path: Path, make_record: Callable[..., QARecord], domain: str) -> None:
    directions = {"forward": "{0}の主人公は?{1}", "reverse": "主人公が{0}の作品は?{1}"}
    records = [
        make_record(
            id=f"{domain}{work}/{direction}/{wording}",
            work=f"{domain}{work}",
            fact=f"{domain}{work}/protagonist",
            direction=direction,
            wording=f"protagonist/{direction}/{wording}",
            domain=domain,
            question=question.format(f"{domain}{work}", wording),
        )
        for work in range(WORKS)
        for direction, question in directions.items()
        for wording in range(4)
    ]
    lines = (json.dumps(asdict(record), ensure_ascii=False) for record in records)
    path.write_text("\n".join(lines), encoding="utf-8")


def _write_articles(folder: Path, subject: str) -> Path:
    folder.mkdir()
    for number in range(6):
        text = f"# {subject}{number}\n\n{subject}{number}の主人公はエドワードである。\n"
        (folder / f"{number}.md").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def settings(
    base: str, adapters: dict[str, Path], make_record: Callable[..., QARecord], tmp_path: Path
) -> CompareSettings:
    for domain in ("anime", "general"):
        _write_records(tmp_path / f"{domain}.jsonl", make_record, domain)
    return CompareSettings(
        base=base,
        records=tmp_path / "anime.jsonl",
        cpt_adapter=adapters["cpt"],
        sft_adapter=adapters["sft"],
        general_records=tmp_path / "general.jsonl",
        articles=_write_articles(tmp_path / "articles", "作品"),
        general_articles=_write_articles(tmp_path / "general", "国"),
        validation_share=0.34,
        block_size=64,
        max_new_tokens=6,
        cache=tmp_path / "cache",
        compute_type="float32",
        output=tmp_path / "out",
    )


def test_three_models_answer_the_same_questions(
    settings: CompareSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def counted(base: str, *rest):
        loads.append(base)
        return load_for_inference(base, *rest)

    monkeypatch.setattr(compare_module, "load_for_inference", counted)
    settings.seconds_before = 1000.0
    summary = compare(settings)
    assert len(loads) == 1
    assert list(summary.models) == ["base", "cpt", "sft"]

    written = json.loads((settings.output / "summary.json").read_text(encoding="utf-8"))
    results = read_results(settings.output / "results.jsonl")
    asked = {"anime_unseen_wording": 12, "anime_only_read": 4, "general": 16}
    assert len(results) == 3 * sum(asked.values())
    for model in ("base", "cpt", "sft"):
        for name, count in asked.items():
            scores = written["models"][model][name]
            assert scores["n"] == count
            assert 0 <= scores["ci95"][0] <= scores["accuracy"] <= scores["ci95"][1] <= 1
            assert set(scores["directions"]) == {"forward", "reverse"}
        assert written["models"][model]["perplexity_anime"] > 1
        assert written["models"][model]["perplexity_general"] > 1
    assert written["seconds"] > 1000
    assert set(written["differences"]) == {"cpt-base", "sft-base", "sft-cpt"}
    trained = written["trainable_parameters_per_target"]
    assert {name for label in trained for name in label.split("+")} == set(DEFAULT_TARGETS)
    assert all(trained.values())
    assert sorted(p.name for p in settings.output.iterdir()) == ["results.jsonl", "summary.json"]

    outputs = {m: [r.output for r in results if r.model == m] for m in ("base", "cpt", "sft")}
    assert outputs["base"] != outputs["cpt"] != outputs["sft"] != outputs["base"]


def test_each_model_answers_as_it_does_alone(settings: CompareSettings) -> None:
    """No adapter leaves a trace in the model that is examined after it."""
    settings.questions_per_set = 3
    together = compare(settings).models["sft"]
    settings.cpt_adapter = None
    alone = compare(settings)
    assert list(alone.models) == ["base", "sft"]
    assert alone.models["sft"] == together


def test_an_adapter_is_taken_off_the_base_whole(base: str, adapters: dict[str, Path]) -> None:
    model = load_base(base, "nf4")
    names = [name for name, _ in model.named_parameters()]
    prompt = torch.arange(10)[None]
    with torch.inference_mode():
        before = model(input_ids=prompt).logits
        with with_adapter(model, adapters["cpt"]) as changed:
            assert not torch.allclose(changed(input_ids=prompt).logits, before)
        assert torch.equal(model(input_ids=prompt).logits, before)
    assert [name for name, _ in model.named_parameters()] == names


def test_without_adapters_the_base_alone_is_measured(settings: CompareSettings) -> None:
    settings.cpt_adapter = settings.sft_adapter = settings.general_records = None
    settings.articles = settings.general_articles = None
    summary = compare(settings)
    assert list(summary.models) == ["base"]
    assert summary.models["base"].sets["general"].n == 0
    assert summary.models["base"].perplexity_anime is None
    assert summary.trainable_parameters_per_target == {}


def test_a_comparison_that_fails_leaves_no_summary(
    settings: CompareSettings, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    settings.sft_adapter = broken
    settings.questions_per_set = 1
    with pytest.raises(UserError, match=r"broken: no adapter_config\.json"):
        compare(settings)
    assert list(settings.output.iterdir()) == []


def test_an_output_that_cannot_be_written_is_reported_before_the_base_is_loaded(
    settings: CompareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "load_for_inference", pytest.fail)
    (tmp_path / "file").touch()
    settings.output = tmp_path / "file" / "out"
    with pytest.raises(UserError, match=r"--output .*file/out: cannot be made"):
        compare(settings)


def test_what_is_missing_is_reported_before_anything_is_answered(
    settings: CompareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "answer_questions", pytest.fail)
    settings.sft_adapter = tmp_path / "nowhere"
    with pytest.raises(UserError, match="nowhere"):
        compare(settings)
    settings.held_out_wordings = settings.held_out_works = 0.0
    settings.general_records = None
    with pytest.raises(UserError, match="no question is held out"):
        compare(settings)


def test_a_tokenizer_that_the_base_has_no_rows_for_is_reported_before_the_base_is_loaded(
    settings: CompareSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "load_for_inference", pytest.fail)
    folder = tmp_path / "base"
    shutil.copytree(settings.base, folder)
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 99}
    (folder / "config.json").write_text(json.dumps(config))
    settings.base = str(folder)
    with pytest.raises(UserError, match="its embedding has 99 rows"):
        compare(settings)


def test_settings_are_built_from_yaml(tmp_path: Path) -> None:
    config = tmp_path / "compare.yaml"
    config.write_text(
        "base: some/base\nrecords: qa.jsonl\nsft_adapter: runs/sft/adapter\nquestions_per_set: 5\n",
        encoding="utf-8",
    )
    parser = ArgumentParser()
    parser.add_class_arguments(CompareSettings)
    parser.add_argument("--config", action="config")
    values = parser.parse_args(["--config", str(config), "--max_new_tokens=9"])
    del values["config"]
    settings = CompareSettings(**values.as_dict())
    assert settings.adapters == {"sft": Path("runs/sft/adapter")}
    assert (settings.questions_per_set, settings.max_new_tokens) == (5, 9)
