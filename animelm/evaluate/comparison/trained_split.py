"""The split with which the adapters of a comparison were trained."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from animelm.data.held_out import DEFAULT_SPLIT, SplitSettings
from animelm.errors import UserError
from animelm.evaluate.comparison.models import ComparedModel, compared_models
from animelm.evaluate.settings import CompareSettings
from animelm.provenance.check import (
    other_training_data,
    recorded_split,
    require_same_base,
    require_same_data,
    require_same_split,
    without_record,
)
from animelm.provenance.fingerprints import record_base, record_paths
from animelm.provenance.record import TrainingStep, read_record


def require_trained_split(settings: CompareSettings) -> SplitSettings:
    """The split with which all adapters and exports of a comparison were trained.

    An adapter without a record, from another tool, is compared with the settings as given. Where no
    adapter has rehearsed anything general, no general subject counts as rehearsed.

    Raises:
        UserError: an adapter is missing, is not what its setting says, or was trained on another
            base, other data or with another split than the settings say.
    """
    trained = [(model.trained, model) for model in compared_models(settings) if model.trained]
    records: dict[Path, tuple[TrainingStep, ...]] = {}
    for folder, _ in trained:  # before the base is loaded
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected an adapter that a fit has written")
        records[folder] = read_record(folder)
    recorded = recorded_split(records)
    if any(records.values()):
        data = record_paths(settings.data_paths)
        bases = {folder: model.checkpoint for folder, model in trained if model.adapter}
        hashes = {base: record_base(base) for base in set(bases.values())}
        for folder, steps in records.items():
            if folder in bases:  # a whole model is on no base
                require_same_base(folder, steps, hashes[bases[folder]])
            require_same_data(folder, steps, data)
            require_same_split(folder, steps, settings.given_split)
            for sentence in other_training_data(folder, steps, data):
                warnings.warn(sentence, stacklevel=2)
    for folder, model in trained:
        if records[folder]:
            _require_role(model, records[folder])
        else:
            warnings.warn(without_record(folder), stacklevel=2)
    values = asdict(DEFAULT_SPLIT)
    if all(records.values()):  # also without adapters
        values["held_out_subjects"] = None
    given = {name: value for name, value in settings.given_split.items() if value is not None}
    return SplitSettings(**{**values, **recorded, **given})


def _require_role(model: ComparedModel, steps: Sequence[TrainingStep]) -> None:
    """Checks that an adapter is what it is compared as: a control that had CPT would be none.

    Raises:
        UserError: it is not.
    """
    if model.role is None:
        return
    trained = " + ".join(step.step for step in steps)
    fine_tuned = any(step.step == "sft" for step in steps)
    fits = {
        "cpt": not fine_tuned,
        "sft_only": len(steps) == 1 and steps[0].init_adapter is None,
        "sft": len(steps) > 1 or steps[0].init_adapter is not None,
    }
    expected = {
        "cpt": "one that was not fine-tuned (no step sft)",
        "sft_only": "one that was fine-tuned from the base alone",
        "sft": "one that began from another adapter (one that did not is an sft_only_adapter)",
    }
    if not fits[model.role]:
        raise UserError(
            f"{model.role}_adapter {model.adapter}: its record says {trained}; expected "
            f"{expected[model.role]}"
        )
