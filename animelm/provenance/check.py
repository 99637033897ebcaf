"""Refuses to use an adapter with another base, other data or another split than it was trained on.

What was trained would otherwise be scored as held out, and nothing would show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

from animelm.errors import UserError
from animelm.provenance.record import RECORD_FILE, BaseRecord, DataRecord, Setting, TrainingStep

_SHOWN = 12  # characters of a hash


def require_same_base(adapter: Path, steps: Sequence[TrainingStep], base: BaseRecord) -> None:
    """Checks that an adapter is put on the base that it was trained on; the name may differ.

    Args:
        adapter: its folder, for the message.
        steps: its record.
        base: the base that it is put on.

    Raises:
        UserError: configuration, weights or tokenizer differ.
    """
    for step in steps:
        for part in ("config", "weights", "tokenizer"):
            trained, given = (getattr(each, f"{part}_sha256") for each in (step.base, base))
            if trained != given:
                raise UserError(
                    f"{adapter} was trained on the base {step.base.name} ({part} "
                    f"{trained[:_SHOWN]}), and {base.name} is another one ({part} "
                    f"{given[:_SHOWN]}); use the base that it was trained on"
                )


def without_record(adapter: Path) -> str:
    """A sentence for an adapter of another tool, or one whose record was removed."""
    return (
        f"{adapter} has no {RECORD_FILE}: its base cannot be checked, and what it was trained on "
        "may count as held out"
    )


def require_same_data(
    adapter: Path, steps: Sequence[TrainingStep], data: Sequence[DataRecord]
) -> None:
    """Checks that the data that are split here are those that the adapter was trained on.

    Each source is compared with those of its role that the adapter's steps name; a role that no
    step names is new to the adapter, and fits.

    Raises:
        UserError: a source of the same role has other content.
    """
    for source in data:
        trained = [each for step in steps for each in step.data if each.role == source.role]
        if trained and all(each.sha256 != source.sha256 for each in trained):
            raise UserError(
                f"{_other_data(adapter, trained, source)}; use the data that it was trained on"
            )


def other_training_data(
    adapter: Path, steps: Sequence[TrainingStep], data: Sequence[DataRecord]
) -> list[str]:
    """A sentence for each source that one step of the adapter had, and another step had not.

    What is held out of the source may be among what the other step was trained on; only the user
    knows.
    """
    found = []
    for step, source in product(steps, data):
        trained = [each for each in step.data if each.role == source.role]
        if trained and all(each.sha256 != source.sha256 for each in trained):
            found.append(f"{_other_data(adapter, trained, source)}.")
    return found


def _other_data(adapter: Path, trained: Sequence[DataRecord], source: DataRecord) -> str:
    role = source.role.replace("_", " ")
    if "questions" in role and trained[-1].path == source.path:
        return (
            f"{adapter} was trained on the {role} of {source.path} as they were grouped then "
            f"({trained[-1].sha256[:_SHOWN]}), and now the file, the names of its columns, or the "
            f"titles of the articles beside it are others ({source.sha256[:_SHOWN]}): what was "
            "trained could be scored as held out"
        )
    return (
        f"{adapter} was trained on the {role} of {trained[-1].path} "
        f"({trained[-1].sha256[:_SHOWN]}), and {source.path} holds others "
        f"({source.sha256[:_SHOWN]}): what was trained could be scored as held out"
    )


def recorded_split(adapters: Mapping[Path, Sequence[TrainingStep]]) -> dict[str, Setting]:
    """The split settings that adapters were trained with, those of all their steps together.

    Args:
        adapters: the record of each adapter by its folder.

    Raises:
        UserError: two steps disagree, of one adapter or of two.
    """
    split: dict[str, Setting] = {}
    origins: dict[str, str] = {}
    for folder, steps in adapters.items():
        for step in steps:
            for name, value in asdict(step.split).items():
                if value is None:
                    continue
                origin = f"the step {step.step} of {folder}"
                if split.setdefault(name, value) != value:
                    raise UserError(
                        f"{origins[name]} was trained with {name}={split[name]}, and {origin} with "
                        f"{name}={value}: nothing is held out from both"
                    )
                origins.setdefault(name, origin)
    return split


def require_same_split(
    adapter: Path, steps: Sequence[TrainingStep], split: Mapping[str, Setting]
) -> None:
    """Checks that a split is the one that the adapter was trained with.

    Args:
        adapter: its folder, for the message.
        steps: its record.
        split: the settings of this run by name; None where a setting has no meaning here.

    Raises:
        UserError: a setting differs.
    """
    trained = recorded_split({adapter: steps})
    for name, value in split.items():
        if value is not None and name in trained and trained[name] != value:
            raise UserError(
                f"{adapter} was trained with {name}={trained[name]}, and this run has "
                f"{name}={value}: what was trained could be scored as held out; leave {name} out "
                "to use the adapter's"
            )
