"""The record beside an adapter, as JSON.

It holds one step for each run that led to the adapter, the oldest first: an adapter of SFT that
began from one of CPT has two.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from animelm.data.held_out import SplitSettings
from animelm.errors import UserError
from animelm.files import write_whole
from animelm.reading import read_json

RECORD_FILE = "adapter_record.json"
_SCHEMA = 1

DataRole = Literal["articles", "general_articles", "questions", "general_questions"]
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class BaseRecord:
    """A base, told apart by hashes (SHA-256, hexadecimal).

    Attributes:
        name: checkpoint folder or hub id, as it was given.
        config_sha256: of its config.json.
        weights_sha256: of its files of weights, see ``record_base``.
        tokenizer_sha256: of its tokenizer and chat template.
    """

    name: str
    config_sha256: str
    weights_sha256: str
    tokenizer_sha256: str


@dataclass(frozen=True)
class DataRecord:
    """One source of training data.

    Attributes:
        role: what it was used for.
        path: folder, file or address, as it was given.
        sha256: of its content, hexadecimal.
    """

    role: DataRole
    path: str
    sha256: str


@dataclass(frozen=True)
class TrainingStep:
    """One run that trained an adapter.

    Attributes:
        step: name of the run, such as cpt or sft.
        animelm: version of the project.
        optimizer_steps: how many were taken.
        base: the frozen base.
        data: every source of training data.
        split: the settings that decide what was held out.
        settings: other settings that decide the result, by name.
        init_adapter: the adapter that the run began from; None for a fresh one.
        init_mode: whether that adapter was trained further (continue) or kept frozen below a new
            one (stack).
    """

    step: str
    animelm: str
    optimizer_steps: int
    base: BaseRecord
    data: tuple[DataRecord, ...] = ()
    split: SplitSettings = field(default_factory=SplitSettings)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    init_adapter: str | None = None
    init_mode: str | None = None


def write_record(folder: Path, steps: Sequence[TrainingStep]) -> None:
    """Writes the record of an adapter into its folder.

    Raises:
        UserError: it cannot be written.
    """
    content = {"schema": _SCHEMA, "steps": [asdict(step) for step in steps]}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    write_whole(folder / RECORD_FILE, text.encode())


def read_record(folder: Path) -> tuple[TrainingStep, ...]:
    """The steps that led to an adapter, the oldest first; empty where there is no record.

    Only the fields of the classes above are read, each checked for its type: a record can never
    bring in another setting.

    Raises:
        UserError: the file is not such a record.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        return ()
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != {"schema", "steps"}:
        raise UserError(f"{path}: expected an object with schema and steps, as a fit writes it")
    schema, steps = content["schema"], content["steps"]
    if schema != _SCHEMA or isinstance(schema, bool):
        raise UserError(
            f"{path}: schema is {schema!r}; expected {_SCHEMA}, the one that animelm writes"
        )
    if not isinstance(steps, list) or not steps:
        raise UserError(f"{path}: steps must be a list of one step or more, as a fit writes it")
    return tuple(_Reader(path, f"steps[{i}]", values).step() for i, values in enumerate(steps))


class _Reader:
    """One object of the file, read field by field."""

    def __init__(self, path: Path, place: str, values: Any) -> None:
        self._path, self._place = path, place
        if not isinstance(values, dict):
            raise self._wrong("", f"expected an object, not {type(values).__name__}")
        self._values = values

    def step(self) -> TrainingStep:
        self._refuse_others(TrainingStep)
        data = self._value("data", list)
        return TrainingStep(
            self._text("step"),
            self._text("animelm"),
            self._value("optimizer_steps", int),
            self._part("base")._base(),
            tuple(
                _Reader(self._path, f"{self._place}.data[{i}]", item)._data()
                for i, item in enumerate(data)
            ),
            self._part("split")._split(),
            self._part("settings")._settings(),
            self._text_or_none("init_adapter"),
            self._text_or_none("init_mode"),
        )

    def _base(self) -> BaseRecord:
        self._refuse_others(BaseRecord)
        return BaseRecord(*(self._text(each.name) for each in fields(BaseRecord)))

    def _data(self) -> DataRecord:
        self._refuse_others(DataRecord)
        role, roles = self._text("role"), get_args(DataRole)
        if role not in roles:
            raise self._wrong("role", f"is {role!r}; expected one of {', '.join(roles)}")
        return DataRecord(cast(DataRole, role), self._text("path"), self._text("sha256"))

    def _split(self) -> SplitSettings:
        self._refuse_others(SplitSettings)
        for name, value in self._settings().items():
            if isinstance(value, str | bool):
                raise self._wrong(name, f"expected a number or null, found {value!r}")
            if name == "seed" and not isinstance(value, int):
                raise self._wrong(name, f"expected a whole number, found {value!r}")
        return SplitSettings(**self._values)

    def _settings(self) -> dict[str, Setting]:
        for name, value in self._values.items():
            if not isinstance(value, str | int | float | bool | None):
                raise self._wrong(name, "expected a text, a number, true, false or null")
        return dict(self._values)

    def _part(self, name: str) -> "_Reader":
        return _Reader(self._path, f"{self._place}.{name}", self._values.get(name))

    def _text(self, name: str) -> str:
        return self._value(name, str)

    def _text_or_none(self, name: str) -> str | None:
        return None if self._values.get(name) is None else self._text(name)

    def _value(self, name: str, kind: type) -> Any:
        value = self._values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(name, f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    def _refuse_others(self, kind: type) -> None:
        others = sorted(set(self._values) - {each.name for each in fields(kind)})
        if others:
            raise self._wrong(others[0], "is not a field of an adapter record")

    def _wrong(self, name: str, problem: str) -> UserError:
        place = f"{self._place}.{name}" if name else self._place
        return UserError(f"{self._path}: {place}: {problem}")
