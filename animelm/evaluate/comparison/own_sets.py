"""The sets of questions that the settings of a comparison name, beside the held-out ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from animelm.data.held_out import DOMAIN_SETS, QUESTION_SETS, TRAINED
from animelm.data.sources.qa import read_qa
from animelm.data.split import subsample
from animelm.errors import UserError
from animelm.evaluate.settings import CompareSettings
from animelm.evaluate.standard_sets import STANDARD_SETS, QuestionSet, read_standard_set

_KEYS = ("file", "format", "domain", "questions")
_RECORDS = "records"
# Keys of a model in summary.json that are no sets.
_RESERVED = (
    *(TRAINED, *DOMAIN_SETS, *QUESTION_SETS),
    *("perplexity_anime", "perplexity_general", "retrieval"),
)


def read_sets(settings: CompareSettings) -> dict[str, QuestionSet]:
    """The sets under ``sets`` by name.

    Raises:
        UserError: the mapping is malformed, or a file is missing or malformed.
    """
    given = settings.sets or {}
    if not isinstance(given, Mapping):
        raise UserError("sets: expected a mapping of names to files")
    return {str(name): _read_set(settings, str(name), value) for name, value in given.items()}


def set_files(settings: CompareSettings) -> list[Path]:
    """The files that ``read_sets`` reads."""
    values = (settings.sets or {}).values()
    return [Path(value["file"] if isinstance(value, Mapping) else value) for value in values]


def _read_set(settings: CompareSettings, name: str, given: Any) -> QuestionSet:
    values = given if isinstance(given, Mapping) else {"file": given}
    if not name.strip() or name in _RESERVED:
        raise UserError(f"sets: {name!r} names something else already; expected another name")
    if unknown := [key for key in values if key not in _KEYS]:
        raise UserError(f"sets.{name}: {unknown[0]} is not a setting; expected {', '.join(_KEYS)}")
    file = values.get("file")
    if not isinstance(file, str | Path):
        raise UserError(f"sets.{name}: expected a file of questions, found {file!r}")
    kind = values.get("format") or (name if name in STANDARD_SETS else _RECORDS)
    if kind == _RECORDS:
        records = read_qa(Path(file), domain=str(values.get("domain", "general")))
        found = QuestionSet(records, "keys")
    elif kind in STANDARD_SETS:
        found = read_standard_set(kind, Path(file))
        if "domain" in values:
            domain = str(values["domain"])
            found = replace(found, records=[replace(r, domain=domain) for r in found.records])
    else:
        raise UserError(
            f"sets.{name}.format is {kind!r}; expected {_RECORDS}, {', '.join(STANDARD_SETS)}"
        )
    limit = values.get("questions", settings.questions_per_set)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise UserError(f"sets.{name}.questions is {limit!r}; expected 1 or more")
    return replace(found, records=subsample(list(found.records), limit, settings.seed or 0))
