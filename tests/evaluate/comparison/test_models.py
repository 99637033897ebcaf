"""Models of a comparison: exports as export writes them, and the right article in a prompt."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from animelm.errors import UserError
from animelm.evaluate.compare import CompareSettings, compare, require_trained_split
from animelm.evaluate.comparison.models import answers_from, compared_models
from animelm.evaluate.results import Result, read_results
from animelm.export.run import export
from animelm.export.settings import ExportSettings
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, save_adapter
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import TrainingStep, write_record

LORA = LoraSettings(rank=2, alpha=4, dropout=0.0)


@pytest.fixture(scope="module")
def adapter(nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned adapter on the embedded base, with its record."""
    torch.manual_seed(1)
    model = add_adapter(load_base(str(nano), "nf4"), LORA)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("sft") / "adapter"
    save_adapter(model, folder)
    write_record(folder, [TrainingStep("sft", "0.1.0", 1, record_base(str(nano)))])
    return folder


@pytest.fixture(scope="module")
def exports(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    for kind in ("peft", "merged"):
        export(ExportSettings(adapter, kind, folder / kind, check=False))  # type: ignore[arg-type]
    return {"peft": folder / "peft", "merged": folder / "merged"}


@pytest.fixture
def settings(nano: Path, tmp_path: Path) -> CompareSettings:
    own = tmp_path / "own.txt"
    names = ("日本", "フランス", "ラオス", "エジプト")
    text = "\n\n".join(f"質問: {name}の首都はどこですか?\n出力: 都" for name in names)
    own.write_text(text + "\n", encoding="utf-8")
    return CompareSettings(
        base=str(nano),
        sets={"own": str(own)},
        max_new_tokens=12,
        compute_type="float32",
        output=tmp_path / "out",
    )


def _outputs(results: list[Result], model: str) -> list[str]:
    return [result.output for result in results if result.model == model]


def test_exports_answer_as_the_adapter_that_they_were_made_of(
    settings: CompareSettings, adapter: Path, exports: dict[str, Path]
) -> None:
    named = {"adapter": adapter, **exports}
    settings.models = {"base": None, **{name: str(folder) for name, folder in named.items()}}
    compare(settings)
    results = read_results(settings.output / "results.jsonl")
    answers = _outputs(results, "adapter")
    assert all(answers) and answers != _outputs(results, "base")
    assert _outputs(results, "peft") == answers
    assert _outputs(results, "merged") == answers  # in BF16, which tips no answer here


def test_an_export_is_loaded_and_asked_as_its_record_says(
    settings: CompareSettings, exports: dict[str, Path]
) -> None:
    settings.models = {name: str(folder) for name, folder in exports.items()}
    peft, merged = compared_models(settings)
    assert (peft.adapter, peft.quantization) == (exports["peft"], "nf4")
    assert (merged.adapter, merged.checkpoint) == (None, str(exports["merged"]))
    assert merged.quantization == "none", "its weights are not quantized a second time"
    assert answers_from(peft) == answers_from(merged) == "final", "as fine-tuning has taught it"


def test_a_merged_model_is_held_to_the_split_that_it_was_trained_with(
    settings: CompareSettings, exports: dict[str, Path], nano: Path, tmp_path: Path
) -> None:
    split = replace(require_trained_split(settings), seed=5)
    step = TrainingStep("sft", "0.1.0", 1, record_base(str(nano)), split=split)
    for folder in exports.values():
        write_record(folder, [step])
    settings.models = {"merged": str(exports["merged"])}
    assert require_trained_split(settings).seed == 5
    settings.seed = 6
    with pytest.raises(UserError, match=r"merged .*seed=5.*seed=6"):
        require_trained_split(settings)


def test_a_gguf_file_is_refused_with_what_reads_it(
    settings: CompareSettings, tmp_path: Path
) -> None:
    (tmp_path / "export.json").write_text('{"format": "gguf"}', encoding="utf-8")
    settings.models = {"gguf": str(tmp_path)}
    with pytest.raises(UserError, match="read by llama"):
        compared_models(settings)


def test_the_right_article_stands_in_the_prompt_of_a_model_with_retrieval(
    base: str, make_record: Callable, tmp_path: Path
) -> None:
    articles = tmp_path / "articles"
    articles.mkdir()
    lines = []
    for number in range(8):
        record = make_record(id=str(number), work=f"作品{number}", fact=f"作品{number}/hero")
        record = replace(record, question=f"作品{number}の主人公は?")
        lines.append(json.dumps({**vars(record)}, ensure_ascii=False))
        text = f"---\ntitle: 作品{number}\n---\n# 作品{number}\n\n主人公はエドワードである。"
        (articles / f"{number}.md").write_text(text, encoding="utf-8")
    (tmp_path / "qa.jsonl").write_text("\n".join(lines), encoding="utf-8")
    settings = CompareSettings(
        base=base,
        records=tmp_path / "qa.jsonl",
        articles=articles,
        models={"base": None, "searched": {"retrieval": True}},
        max_new_tokens=4,
        compute_type="float32",
        cache=tmp_path / "cache",
        output=tmp_path / "out",
    )
    summary = compare(settings)
    results = read_results(settings.output / "results.jsonl")
    assert _outputs(results, "searched") != _outputs(results, "base")
    assert [model.retrieval for model in summary.models.values()] == [False, True]
    assert summary.models["searched"].perplexity_anime is None
    settings.models = {"searched": {"retrieval": "yes"}}
    with pytest.raises(UserError, match=r"models\.searched\.retrieval is 'yes'; expected one of"):
        compared_models(settings)
