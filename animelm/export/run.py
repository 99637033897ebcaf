"""Exports an adapter: writes it, has a stock tool open it, and keeps it if its answers agree."""

import json
import os
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch

import animelm
from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate.settings import resolve_answer_from
from animelm.evaluate.summary import Summary, read_summary
from animelm.export.check import (
    Before,
    CheckResult,
    Precision,
    ask_before,
    check_export,
    unopened,
)
from animelm.export.companions import copy_record
from animelm.export.composed import ComposedAdapter, compose_adapter
from animelm.export.formats.gguf_file import (
    FILE,
    differing_tensors,
    require_gguf,
    write_gguf,
)
from animelm.export.formats.merged import write_merged
from animelm.export.formats.mxfp4 import require_mxfp4, write_mxfp4
from animelm.export.formats.peft_adapter import write_peft
from animelm.export.publish.attribution import write_attribution
from animelm.export.publish.card import write_card
from animelm.export.questions import CheckQuestions, check_records
from animelm.export.room import require_room
from animelm.export.settings import ExportSettings
from animelm.files import (
    make_folder,
    recover_folder,
    whole_folder,
    write_errors_as_user_errors,
    write_whole,
)
from animelm.model.checkpoint.exported import EXPORT_RECORD
from animelm.model.checkpoint.hub import load_config
from animelm.model.lora.files import WEIGHTS_FILE
from animelm.model.quantization.linear4bit import Quantization
from animelm.provenance.check import require_same_base, without_record
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import TrainingStep, read_record

_SCHEMA = 1


class ExportFailed(Exception):
    """An export did not pass its check; it lies in a folder of its own.

    Attributes:
        folder: where it lies.
        result: what the check found.
    """

    def __init__(self, folder: Path, result: CheckResult) -> None:
        super().__init__(f"{folder}: {'; '.join(result.failures)}")
        self.folder, self.result = folder, result


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        settings: of the export.
        base: checkpoint folder or hub id.
        quantization: storage of the base's weights in training.
        steps: the adapter's record.
        adapter: the adapter as one.
    """

    settings: ExportSettings
    base: str
    quantization: Quantization
    steps: tuple[TrainingStep, ...]
    adapter: ComposedAdapter

    @property
    def merged_onto(self) -> Quantization:
        """The form of the weights that the export is made for."""
        return self.quantization if self.settings.onto == "trained" else "none"

    @property
    def largest_file(self) -> int:
        return int(self.settings.shard_gib * 2**30)


def export(settings: ExportSettings, before: Before | None = None) -> CheckResult | None:
    """Writes the export into ``settings.output``, whole or not at all.

    Args:
        settings: what to export, and how.
        before: what base and adapter have answered to the same questions; None: they are asked.

    Returns:
        What the check found; None without a check.

    Raises:
        UserError: the adapter, the base or the questions are missing or do not fit, the folder
            exists, or there is too little room.
        ExportFailed: the export was written, and its answers are not the adapter's.
    """
    source = open_source(settings)
    config = load_config(source.base)
    if settings.to == "mxfp4":
        require_mxfp4(config, source.base)
    if settings.to == "gguf":
        require_gguf(config, source.base, settings.gguf_type)
    require_room(settings, config, _adapter_bytes(settings.adapter))
    summary = read_summary(settings.summary) if settings.summary else None
    questions = check_questions(source) if settings.check else None
    if questions is not None and before is None:
        before = ask_before(source.base, source.quantization, settings.adapter, questions)
    recover_folder(settings.output)
    with write_errors_as_user_errors(settings.output), whole_folder(settings.output) as folder:
        remarks = _write(source, folder)
        result = None
        if questions is not None and before is not None:
            result = _check(source, folder, questions, before)
            result = replace(result, warnings=(*result.warnings, *remarks))
        _describe(source, folder, result, summary)
        if result is not None and result.failures:
            failed = settings.output.with_name(f"{settings.output.name}.failed")
            shutil.rmtree(failed, ignore_errors=True)
            os.replace(folder, failed)
            raise ExportFailed(failed, result)
    return result


def open_source(settings: ExportSettings) -> Source:
    """Reads and checks everything that an export depends on, before anything is written.

    Raises:
        UserError: the output exists, or adapter, base and record do not fit together.
    """
    if settings.output.exists():
        raise UserError(f"--output {settings.output}: exists; name a new folder, or remove it")
    if not settings.adapter.is_dir():
        raise UserError(f"{settings.adapter}: no such folder; expected the folder of an adapter")
    make_folder(settings.output.absolute().parent, "--output")
    adapter = compose_adapter(settings.adapter)
    steps = read_record(settings.adapter)
    base = settings.base or (steps[-1].base.name if steps else adapter.base)
    if not base:
        raise UserError(f"{settings.adapter}: names no base; name it with --base")
    if steps:
        require_same_base(settings.adapter, steps, record_base(base))
    else:
        warnings.warn(without_record(settings.adapter), stacklevel=2)
    recorded = steps[-1].settings.get("quantization") if steps else None
    quantization = settings.quantization or recorded or "nf4"
    if quantization not in ("nf4", "nf4-double", "mxfp4", "none"):
        raise UserError(f"{settings.adapter}: its record names the quantization {quantization!r}")
    return Source(settings, base, quantization, steps, adapter)  # type: ignore[arg-type]


def _adapter_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob(WEIGHTS_FILE))


def check_questions(source: Source) -> CheckQuestions:
    """The questions of the check, encoded.

    Raises:
        UserError: as ``check_records``.
    """
    settings = source.settings
    chat = ChatFormat(load_tokenizer(source.base))
    records, distractors = check_records(
        settings.adapter, source.steps, settings.verify, chat, settings.questions
    )
    fine_tuned = any(step.step == "sft" for step in source.steps)
    answer_from = resolve_answer_from("auto", fine_tuned)
    return CheckQuestions(
        records,
        distractors,
        chat,
        answer_from,
        settings.questions_per_batch,
        settings.max_new_tokens,
    )


def _write(source: Source, folder: Path) -> list[str]:
    """Writes the files of the export; returns what its user should know."""
    settings, adapter = source.settings, source.adapter
    onto, largest = source.merged_onto, source.largest_file
    remarks: list[str] = []
    if settings.to == "peft":
        write_peft(source.base, adapter, folder)
    elif settings.to == "merged":
        write_merged(source.base, onto, adapter, folder, largest)
    elif settings.to == "mxfp4":
        write_mxfp4(source.base, onto, adapter, folder, largest, settings.rounding)
    else:
        remarks = write_gguf(
            source.base, onto, adapter, folder, settings.gguf_type, settings.rounding
        )
    copy_record(settings.adapter, folder)
    return remarks


def _check(source: Source, folder: Path, questions: CheckQuestions, before: Before) -> CheckResult:
    settings = source.settings
    precision: Precision = "16 bits"
    if settings.onto == "original" and source.quantization != "none":
        precision = "other weights"
    if settings.to == "mxfp4" or (settings.to == "gguf" and settings.gguf_type == "mxfp4"):
        precision = "other weights"
    if settings.to == "gguf":
        return _check_gguf(source, folder, questions, before, precision)
    if settings.to != "peft":
        return check_export("transformers", folder, None, questions, before, precision)
    if precision == "16 bits":
        precision = "same"
    # The adapter is opened on what it was trained against, in stock transformers' files.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        base, largest = Path(scratch), source.largest_file
        write_merged(source.base, source.merged_onto, None, base, largest, torch.float32)
        return check_export("transformers", base, folder, questions, before, precision)


def _check_gguf(
    source: Source,
    folder: Path,
    questions: CheckQuestions,
    before: Before,
    precision: Precision,
) -> CheckResult:
    """Reads every tensor back, and lets llama.cpp answer if it is installed."""
    settings = source.settings
    wrong = list(
        differing_tensors(
            source.base,
            source.merged_onto,
            source.adapter,
            folder / FILE,
            settings.gguf_type,
            settings.rounding,
        )
    )
    if wrong:
        reason = f"{len(wrong)} tensors of the file differ, the first is {wrong[0]}"
        return unopened("gguf", questions, before, reason)
    if find_spec("xllamacpp") is None:
        result = unopened("gguf", questions, before)
        remark = "no llama.cpp has opened the file: install xllamacpp, and export again"
        return replace(result, warnings=(remark,))
    return check_export("llama_cpp", folder / FILE, None, questions, before, precision)


def _describe(
    source: Source, folder: Path, result: CheckResult | None, summary: Summary | None
) -> None:
    """Writes the model card, the attribution, and the record of the export."""
    settings = source.settings
    data = write_attribution(source.steps, folder)
    name = settings.push or settings.output.name
    write_card(folder, name, source.base, settings.to, source.steps, data, result, summary)
    content = {
        "schema": _SCHEMA,
        "animelm": animelm.__version__,
        "format": settings.to,
        "base": asdict(record_base(source.base)),
        "adapter": str(settings.adapter),
        "rank": source.adapter.rank,
        "alpha": source.adapter.alpha,
        "onto": settings.onto,
        "trained_against": source.quantization,
        "check": asdict(result) if result else None,
    }
    write_whole(folder / EXPORT_RECORD, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
