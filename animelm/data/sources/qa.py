"""Question-answer records, and reading them from several formats."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from animelm.data.grouping.derive import Derived, Values, derive
from animelm.data.sources import parquet
from animelm.data.sources.formats.asked import Asked, Row, Turn
from animelm.data.sources.formats.columns import DIRECTIONS, Columns
from animelm.data.sources.formats.json_files import json_rows
from animelm.data.sources.formats.labelled_text import read_labelled
from animelm.data.sources.formats.tables import table_rows
from animelm.data.sources.hub import local_copy
from animelm.errors import UserError

__all__ = [
    "DIRECTIONS",
    "SUFFIXES",
    "Columns",
    "QARecord",
    "QuestionFile",
    "question_files",
    "read_qa",
]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", parquet.SUFFIX)
_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")


@dataclass(frozen=True)
class QARecord:
    """One question about one fact, with every accepted answer.

    Attributes:
        id: unique among the records of a run.
        work: the work (outside anime, the subject) that the fact belongs to; the fact itself where
            no work is known.
        fact: the fact, such as ``鋼の錬金術師/protagonist``.
        direction: ``forward`` (work to value) or ``reverse`` (value to work).
        wording: the template of the question, shared by all works, as ``protagonist/forward/03``.
        domain: ``anime``, or another subject.
        question: the question.
        answers: accepted answers, each a full sentence.
        keys: short accepted answers; an answer that contains one of them is right.
        thinking: the thoughts before each answer; empty where there are none.
        history: the messages of the conversation before the question.
        weight: how often the question is shown where another one is shown once.
        derived: names of the fields that were derived, because the file does not give them.
        whole_answers: whether the keys are the answers as they are, because no shorter ones are
            given or could be derived.
        places: file and line, or row, of each row that the question was made of.
    """

    id: str
    work: str
    fact: str
    direction: str
    wording: str
    domain: str
    question: str
    answers: tuple[str, ...]
    keys: tuple[str, ...]
    thinking: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()
    weight: int = 1
    derived: tuple[str, ...] = ()
    whole_answers: bool = False
    places: tuple[str, ...] = field(default=(), compare=False)

    @property
    def work_is_known(self) -> bool:
        """Whether the work is more than the fact's own name."""
        return self.work != self.fact

    @property
    def asked(self) -> str:
        """The whole text that is asked: the question, after the messages before it."""
        return "\n".join([*(turn.text for turn in self.history), self.question])


@dataclass(frozen=True)
class QuestionFile:
    """A file or folder of questions.

    Args:
        path: The file, or a folder whose files are read.
        weight: How often its questions are shown where those of weight 1 are shown once.

    Raises:
        UserError: the weight is below 1.
    """

    path: Path
    weight: int = 1

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise UserError(f"{self.path}: the weight is {self.weight}; expected 1 or more")


QuestionPaths = Path | QuestionFile | Sequence[Path | QuestionFile]


def question_files(paths: QuestionPaths | str | None) -> tuple[QuestionFile, ...]:
    """The files of a setting that names one, several, or none."""
    if paths is None:
        return ()
    listed = [paths] if isinstance(paths, str | Path | QuestionFile) else list(paths)
    return tuple(
        each if isinstance(each, QuestionFile) else QuestionFile(Path(each)) for each in listed
    )


def read_qa(
    paths: QuestionPaths | str,
    domain: str = "anime",
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    names: Callable[[], Collection[str]] = tuple,
    values: Values = lambda _: {},
) -> list[QARecord]:
    """Reads question-answer records.

    ===============  ===========================================================================
    suffix           content
    ===============  ===========================================================================
    .jsonl, .json    objects, one a line or in a list: a full record (the fields of
                     ``QARecord``), a pair (``質問`` and ``出力`` or ``回答``, ``question`` and
                     ``answer``, ``instruction``, ``input`` and ``output``, ``prompt`` and
                     ``completion``), ``messages`` or ``conversations``
    .csv, .tsv       the same columns, named in the first line
    .txt             ``質問: …`` and ``出力: …`` lines; several ``出力`` may follow one ``質問``
    .parquet         the columns of .csv, or those of a full record
    a folder         all such files in it
    ===============  ===========================================================================

    The case of a suffix makes no difference. What a file does not say of a question (work, fact,
    direction, wording, keys) is derived as ``animelm.data.grouping`` says; the answers of one
    question become one record.

    Args:
        paths: the files, UTF-8 unless they are Parquet; or folders, or datasets on the hub (see
            ``local_copy``).
        domain: domain of records that name none.
        columns: names of columns, where they are not the usual ones.
        names: gives the titles of the articles on the domain, among which works are found; asked
            for only where a file does not name them.
        values: gives the values of the infoboxes of these articles, by title; among them short keys
            are found.

    Returns:
        The records in the order of the files; at least one.

    Raises:
        UserError: a file is missing, empty, not UTF-8 or of another suffix, or a line or row is
            malformed; the message names the file and the line or row.
    """
    asked: list[Asked] = []
    weights: list[int] = []
    for file in question_files(paths):
        found = [each for path in _files(file.path) for each in _read(path, columns)]
        if not found:
            raise UserError(
                f"{file.path}: holds no question; expected at least one question and its answer"
            )
        _require_named(columns, found, file.path)
        asked += found
        weights += [file.weight] * len(found)
    _refuse_doubled_ids(asked)
    derived = derive(asked, names, values)
    return [
        _record(
            each,
            domain,
            max(weights[i] for i in each.rows),
            tuple(dict.fromkeys(asked[i].where for i in each.rows)),
        )
        for each in derived
    ]


def _record(derived: Derived, domain: str, weight: int, places: tuple[str, ...]) -> QARecord:
    return QARecord(
        id=derived.id,
        work=derived.work,
        fact=derived.fact,
        direction=derived.direction,
        wording=derived.wording,
        domain=derived.domain or domain,
        question=derived.question,
        answers=derived.answers,
        keys=derived.keys,
        thinking=derived.thinking,
        history=derived.history,
        weight=weight,
        derived=derived.derived,
        whole_answers=derived.whole_answers,
        places=places,
    )


def _files(given: Path) -> list[Path]:
    """The files that a path names, with their suffixes checked."""
    path = local_copy(given)
    if path.is_dir():
        return question_files_in(path)
    if not path.exists():
        raise UserError(f"{path}: no such file; expected questions and answers")
    if path.suffix.lower() not in SUFFIXES:
        table = path.suffix.lower() in _SPREADSHEETS
        hint = "; save the sheet as CSV UTF-8" if table else ""
        raise UserError(f"{path}: expected a file name that ends in {', '.join(SUFFIXES)}{hint}")
    return [path]


def question_files_in(folder: Path) -> list[Path]:
    """The files of questions in a folder and those below it, sorted.

    Hidden ones, and those that an office program writes beside an open file, are left out.

    Raises:
        UserError: there are none.
    """
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file.suffix.lower() in SUFFIXES
        and not any(part.startswith((".", "~$")) for part in file.relative_to(folder).parts)
    )
    if not files:
        raise UserError(f"{folder}: is a folder without files of questions ({', '.join(SUFFIXES)})")
    return files


def _read(path: Path, columns: Columns) -> Iterator[Asked]:
    suffix = path.suffix.lower()
    if suffix == ".txt":
        yield from read_labelled(path, columns)
        return
    if suffix == parquet.SUFFIX:
        rows = _parquet_rows(path, columns)
    elif suffix in (".csv", ".tsv"):
        rows = table_rows(path, "\t" if suffix == ".tsv" else ",", columns)
    else:
        rows = json_rows(path)
    for row in rows:
        yield from columns.read(row)


def _parquet_rows(shard: Path, columns: Columns) -> Iterator[Row]:
    found = parquet.column_names(shard)
    try:
        wanted = columns.wanted(found)
    except UserError as error:
        raise UserError(f"{shard}: {error}") from error
    for row in parquet.read_rows(shard, wanted):
        yield Row(row.where, f"in row {row.number} of {shard.name}", row.values)


def _require_named(columns: Columns, asked: Sequence[Asked], path: Path) -> None:
    """Raises a UserError if a column is named that no question has."""
    for key, name in columns.named.items():
        if key not in ("question", "answer") and not any(key in each.given for each in asked):
            raise UserError(
                f"{path}: no question has {name!r}, which columns.{key} names; name the column "
                "as it is in the file"
            )


def _refuse_doubled_ids(asked: Sequence[Asked]) -> None:
    seen: dict[str, str] = {}
    for each in asked:
        if (name := each.given.get("id")) is None:
            continue
        if name in seen:
            raise UserError(f"{each.where}: duplicate id {name!r}, first used {seen[name]}")
        seen[name] = each.place
