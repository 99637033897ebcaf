from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from animelm.data.held_out import QUESTION_SETS, SplitSettings
from animelm.evaluate.summary import ModelSummary, SetScores, Summary
from animelm.export.check import CheckResult
from animelm.export.publish.attribution import CreditedData
from animelm.export.publish.card import write_card
from animelm.export.settings import ExportFormat
from animelm.provenance.record import BaseRecord, DataRecord, TrainingStep

STEP = TrainingStep(
    "sft",
    "0.1.0",
    1234,
    BaseRecord("openai/gpt-oss-20b", "c", "0123456789abcdef", "t"),
    settings={"lora.rank": 16},
    split=SplitSettings(),
)
DATA = [CreditedData(DataRecord("articles", "wiki/articles", "f" * 64), {"CC BY-SA 4.0": 3})]
CHECK = CheckResult("llama_cpp", 500, 0.0, 0.9, 0.88, 0.97, warnings=("give it token ids",))


def card(folder: Path, kind: ExportFormat = "peft", check: CheckResult | None = CHECK,
         summary: Summary | None = None) -> str:  # fmt: skip
    write_card(folder, "me/anime", "openai/gpt-oss-20b", kind, [STEP], DATA, check, summary)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_metadata_are_those_that_the_hub_reads(tmp_path: Path) -> None:
    metadata = yaml.safe_load(card(tmp_path).split("---")[1])
    assert metadata["base_model"] == "openai/gpt-oss-20b"
    assert metadata["license"] == "cc-by-sa-4.0"
    assert (metadata["library_name"], metadata["pipeline_tag"]) == ("peft", "text-generation")


def test_the_card_names_training_data_check_and_hashes(tmp_path: Path) -> None:
    text = card(tmp_path)
    for part in ("1,234", "lora.rank 16", "0123456789ab", "f" * 12, "CC BY-SA 4.0 (3)",
                 "| key accuracy | 0.000 | 0.900 | 0.880 |", "- give it token ids"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("peft", 'PeftModel.from_pretrained(model, "me/anime")'),
        ("mxfp4", 'AutoModelForCausalLM.from_pretrained("me/anime")'),
        ("gguf", "llama-cli --model me/anime/model.gguf"),
    ],
)
def test_the_card_shows_how_the_format_is_opened(
    tmp_path: Path, kind: ExportFormat, command: str
) -> None:
    assert command in card(tmp_path, kind)


def test_a_comparison_is_shown_with_its_intervals(tmp_path: Path) -> None:
    scores = SetScores(10, 0.75, 0.5, 0.5, works=4, ci95=(0.5, 0.875), directions={})
    none = replace(scores, n=0, accuracy=None, ci95=None)
    sets = dict.fromkeys(QUESTION_SETS, scores) | {QUESTION_SETS[-1]: none}
    text = card(tmp_path, summary=Summary({"sft": ModelSummary(sets)}, {}, 1.0))
    assert "| sft | 0.750 [0.500, 0.875] | 0.750" in text and text.count("| – |") >= 1


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    text = card(tmp_path, check=None)
    assert "has not been opened by the tool" in text and "Not measured" in text
