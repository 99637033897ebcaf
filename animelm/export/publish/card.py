"""The model card of an export: README.md with Hugging Face's metadata."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import ModelCardData

from animelm.data.held_out import QUESTION_SETS
from animelm.evaluate.summary import Summary
from animelm.export.check import CheckResult
from animelm.export.publish.attribution import ATTRIBUTION, CreditedData
from animelm.export.settings import ExportFormat
from animelm.files import write_whole
from animelm.provenance.record import TrainingStep

CARD = "README.md"
_SHOWN = 12  # characters of a hash
_OPEN = {
    "peft": """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(model, "{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")""",
    "merged": """\
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")""",
    "gguf": "llama-cli --model {name}/model.gguf --jinja",
}
_LIMITS = """\
- It was taught one domain. What it knew of other subjects may have been lost; the table of learning
  and forgetting shows how much, where it was measured.
- It answers with the same certainty whether it knows or not. Check what matters.
- No further training for safety took place."""


def write_card(
    folder: Path,
    name: str,
    base: str,
    kind: ExportFormat,
    steps: Sequence[TrainingStep],
    data: Sequence[CreditedData],
    check: CheckResult | None,
    summary: Summary | None,
) -> None:
    """Writes ``README.md``.

    Args:
        folder: of the export.
        name: of the export, such as its folder's name.
        base: that it was trained on.
        kind: format of the export.
        steps: the adapter's record.
        data: what it was trained on.
        check: what the check found, or None.
        summary: of a comparison, or None.
    """
    licenses = {license for each in data for license in each.licenses}
    shared_alike = any("BY-SA" in license for license in licenses)
    metadata = ModelCardData(
        base_model=base,
        language="ja",
        library_name={"peft": "peft", "gguf": "gguf"}.get(kind, "transformers"),
        license="cc-by-sa-4.0" if shared_alike else "other",
        pipeline_tag="text-generation",
        tags=["animelm", "lora"],
    )
    opened = _OPEN.get(kind, _OPEN["merged"]).format(name=name, base=base)
    parts = [
        f"---\n{metadata.to_yaml()}\n---\n\n# {name}",
        f"An adapter on {base}, exported as {kind}.",
        f"```{'sh' if kind == 'gguf' else 'python'}\n{opened}\n```",
        "## Training\n\n" + _training(steps),
        "## Data\n\n" + _data(data, folder),
        "## Check of this export\n\n" + _check(check),
        "## Learning and forgetting\n\n" + _measured(summary),
        "## Limits\n\n" + _LIMITS,
    ]
    write_whole(folder / CARD, "\n\n".join(parts) + "\n")


def _training(steps: Sequence[TrainingStep]) -> str:
    if not steps:
        return "The adapter has no record of its training."
    rows = ["| step | optimizer steps | settings | base |", "|---|---:|---|---|"]
    for step in steps:
        settings = ", ".join(f"{name} {value}" for name, value in step.settings.items())
        base = f"{step.base.name}, weights `{step.base.weights_sha256[:_SHOWN]}`"
        rows.append(f"| {step.step} | {step.optimizer_steps:,} | {settings} | {base} |")
    return "\n".join(rows)


def _data(data: Sequence[CreditedData], folder: Path) -> str:
    if not data:
        return "The adapter's record names no data."
    rows = ["| kind | source | SHA-256 | licenses |", "|---|---|---|---|"]
    for each in data:
        licenses = ", ".join(f"{name} ({count:,})" for name, count in each.licenses.items())
        record = each.record
        kind = record.role.replace("_", " ")
        rows.append(f"| {kind} | {record.path} | `{record.sha256[:_SHOWN]}` | {licenses or '–'} |")
    if (folder / ATTRIBUTION).is_file():
        rows.append(f"\n[{ATTRIBUTION}]({ATTRIBUTION}) names every text.")
    return "\n".join(rows)


def _check(check: CheckResult | None) -> str:
    if check is None:
        return "This export has not been opened by the tool that it is for."
    rows = [
        f"{check.questions} held-out questions, asked before the export and, with {check.tool}, "
        "after it.\n",
        "| | base | adapter | export |",
        "|---|---:|---:|---:|",
        f"| key accuracy | {check.accuracy_base:.3f} | {check.accuracy_adapter:.3f} | "
        f"{_number(check.accuracy_export)} |",
        f"| same answers as the adapter | | | {_number(check.same_answers)} |",
        f"| share of the gain that is kept | | | {_number(check.gain_kept)} |",
    ]
    return "\n".join([*rows, *(f"\n- {warning}" for warning in check.warnings)])


def _measured(summary: Summary | None) -> str:
    if summary is None:
        return "Not measured: no comparison was named in the export (`--summary`)."
    rows = [
        "Key accuracy with its 95 % interval by work.\n",
        "| model | " + " | ".join(name.replace("_", " ") for name in QUESTION_SETS) + " |",
        "|---|" + "---|" * len(QUESTION_SETS),
    ]
    for name, model in summary.models.items():
        cells = []
        for each in (model.sets[held_out] for held_out in QUESTION_SETS):
            interval = "" if each.ci95 is None else f" [{each.ci95[0]:.3f}, {each.ci95[1]:.3f}]"
            cells.append("–" if each.accuracy is None else f"{each.accuracy:.3f}{interval}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
