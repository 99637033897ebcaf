"""The models of a comparison, as its settings name them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from animelm.data.tokenization.chat import AnswerFrom
from animelm.errors import UserError
from animelm.evaluate.settings import AnswerFromSetting, CompareSettings, resolve_answer_from
from animelm.model.checkpoint.exported import EXPORT_RECORD, whole_export
from animelm.model.lora.files import find_adapter
from animelm.model.quantization.linear4bit import Quantization
from animelm.provenance.record import RECORD_FILE, read_record

RETRIEVAL = "retrieval"
_FINE_TUNED = ("sft_only", "sft")
_KEYS = ("adapter", "checkpoint", "quantization", "answer_from", "retrieval")


@dataclass(frozen=True)
class ComparedModel:
    """One model that answers.

    Attributes:
        name: name of its row.
        run: number of the adapter among several of the row, from 0.
        adapter: its adapter; None for a model without one.
        checkpoint: folder or hub id of the base or of the whole model.
        quantization: storage of its weights.
        answer_from: where its prompts end.
        role: cpt, sft_only or sft, where a setting says what the adapter is.
        retrieval: whether the right article stands in its prompts.
    """

    name: str
    run: int
    adapter: Path | None
    checkpoint: str
    quantization: Quantization
    answer_from: AnswerFromSetting
    role: str | None = None
    retrieval: bool = False

    @property
    def trained(self) -> Path | None:
        """The folder whose record says what the model was trained on; None for a base.

        It is that of the adapter, or of an export that is a whole model.
        """
        if self.adapter is not None:
            return self.adapter
        folder = Path(self.checkpoint)
        exported = (folder / RECORD_FILE).is_file() or (folder / EXPORT_RECORD).is_file()
        return folder if exported else None


def compared_models(settings: CompareSettings) -> list[ComparedModel]:
    """The models of a comparison in their order.

    Raises:
        UserError: ``models`` is malformed, a folder in it is missing, or roles are given as well.
    """
    if settings.models is None:
        return _by_role(settings)
    if settings.adapters or settings.retrieval:
        raise UserError(
            "models: names every model of the comparison; leave out cpt_adapter, sft_only_adapter, "
            "sft_adapter and retrieval, or leave out models"
        )
    if not isinstance(settings.models, Mapping) or not settings.models:
        raise UserError("models: expected a mapping of names to adapters, for example `base:`")
    return [
        model
        for name, given in settings.models.items()
        for model in _read_models(settings, str(name), given)
    ]


def _by_role(settings: CompareSettings) -> list[ComparedModel]:
    names: dict[str, Path | None] = {"base": None, **settings.adapters}
    if settings.retrieval:
        names[RETRIEVAL] = None
    return [
        ComparedModel(
            name,
            0,
            adapter,
            settings.base,
            settings.quantization,
            settings.answer_from,
            role=name if adapter else None,
            retrieval=name == RETRIEVAL,
        )
        for name, adapter in names.items()
    ]


def answers_from(model: ComparedModel) -> AnswerFrom:
    """Where a model's prompts end; for auto, by what its role or its record says."""
    if model.role is not None:
        fine_tuned = model.role in _FINE_TUNED
    else:
        steps = read_record(model.trained) if model.trained else ()
        fine_tuned = any(step.step == "sft" for step in steps)
    return resolve_answer_from(model.answer_from, fine_tuned)


def _read_models(settings: CompareSettings, name: str, given: Any) -> list[ComparedModel]:
    if name.strip() in ("", ".", "..") or "/" in name:
        raise UserError(f"models: {name!r} is not a name; expected a word without a slash")
    values = {} if given is None else given
    if not isinstance(values, Mapping):
        values = {"adapter": values}
    if unknown := [key for key in values if key not in _KEYS]:
        raise UserError(
            f"models.{name}: {unknown[0]} is not a setting; expected {', '.join(_KEYS)}"
        )
    quantization = values.get("quantization")
    answer_from = values.get("answer_from", settings.answer_from)
    if quantization is not None:
        _require_one_of(f"models.{name}.quantization", quantization, get_args(Quantization))
    retrieval = values.get("retrieval", False)
    _require_one_of(f"models.{name}.retrieval", retrieval, (True, False))
    _require_one_of(f"models.{name}.answer_from", answer_from, get_args(AnswerFromSetting))
    folders = values.get("adapter")
    checkpoint = values.get("checkpoint", settings.base)
    if not isinstance(checkpoint, str | Path):
        raise UserError(f"models.{name}.checkpoint is {checkpoint!r}; expected a folder or hub id")
    if not isinstance(folders, list):
        folders = [folders]
    if not folders or not all(isinstance(each, str | Path | None) for each in folders):
        raise UserError(f"models.{name}: expected a folder, or a list of folders")
    places = [_place(name, folder, str(checkpoint)) for folder in folders]
    return [
        ComparedModel(
            name,
            run,
            adapter,
            whole,
            quantization or whole_export(Path(whole)) or settings.quantization,
            answer_from,
            retrieval=retrieval,
        )
        for run, (adapter, whole) in enumerate(places)
    ]


def _place(name: str, folder: str | Path | None, checkpoint: str) -> tuple[Path | None, str]:
    """The adapter and the checkpoint that a folder stands for."""
    adapter = None if folder is None else find_adapter(Path(folder))
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        whole_export(adapter)  # which says what a GGUF file is read by
        if not (adapter / "config.json").is_file():
            raise UserError(
                f"models.{name}: {adapter}: expected the folder of an adapter "
                "(adapter_config.json) or of a whole model (config.json)"
            )
        adapter, checkpoint = None, str(adapter)
    return adapter, checkpoint


def _require_one_of(setting: str, value: Any, accepted: tuple[Any, ...]) -> None:
    if not any(value is each or (type(value) is str and value == each) for each in accepted):
        raise UserError(f"{setting} is {value!r}; expected one of {', '.join(map(str, accepted))}")
