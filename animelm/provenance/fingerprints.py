"""Hashes that tell whether a base or a data file is the one that an adapter was trained on."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from animelm.data.domain import DataPaths
from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.hub import local_copy
from animelm.data.sources.markdown import content_hash
from animelm.data.sources.parquet import file_hash
from animelm.data.sources.qa import (
    QARecord,
    QuestionFile,
    question_files,
    question_files_in,
    read_qa,
)
from animelm.errors import UserError
from animelm.model.checkpoint.hub import resolve_base
from animelm.provenance.record import BaseRecord, DataRecord, DataRole

# A file of weights of several GB is not read whole, but in so many parts from its first byte, which
# begins the names, types and shapes of all tensors, to its last.
_PARTS, _PART_BYTES = 64, 2**20
# What decides how questions are split.
_SPLIT_FIELDS = frozenset(("id", "work", "fact", "direction", "wording"))
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def record_base(base: str) -> BaseRecord:
    """The base's name, with hashes of its configuration, its weights and its tokenizer.

    The hash of the weights covers the index, and the name and the size of each file. A file up to
    64 MiB is read whole; of a larger one, 64 parts of 1 MiB at equal distances. The hash of the
    tokenizer covers the chat template.

    Args:
        base: Checkpoint folder or hub id; what has not been fetched yet is fetched.

    Raises:
        UserError: as ``resolve_base``.
    """
    folder = resolve_base(base)
    config = hashlib.sha256((folder / "config.json").read_bytes())
    weights, tokenizer = hashlib.sha256(), hashlib.sha256()
    for index in sorted(folder.glob("*.safetensors.index.json")):
        weights.update(index.read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        weights.update(f"{file.name} {file.stat().st_size}\n".encode())
        for part in _parts(file):
            weights.update(part)
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            tokenizer.update(name.encode())
            tokenizer.update((folder / name).read_bytes())
    return BaseRecord(base, config.hexdigest(), weights.hexdigest(), tokenizer.hexdigest())


def _parts(file: Path) -> Iterator[bytes]:
    """The whole file, or parts of it at equal distances, the first and the last included."""
    last = max(0, file.stat().st_size - _PART_BYTES)
    step = max(_PART_BYTES, last // (_PARTS - 1))
    with file.open("rb") as stream:
        for start in [*range(0, last, step), last]:
            stream.seek(start)
            yield stream.read(_PART_BYTES)


def record_data(role: DataRole, path: Path) -> DataRecord:
    """One source of training data, with a hash of its content.

    Args:
        role: What the data are used for. ``articles`` and ``general_articles`` are folders of
            articles; the others are files of questions.
        path: The folder or file, or a dataset on the hub.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    if role in ("articles", "general_articles"):
        return DataRecord(role, str(path), open_articles(path).content_hash())
    return record_questions(role, question_files(path), read_qa(path))


def record_questions(
    role: DataRole, files: Sequence[QuestionFile], records: Sequence[QARecord]
) -> DataRecord:
    """Files of questions, with a hash of their content.

    Where works or facts were derived, the hash covers them as well: the same file with other
    articles beside it, or with other columns, may be split in another way.

    Args:
        role: ``questions`` or ``general_questions``.
        files: The files, or folders of files.
        records: What was read out of them.

    Raises:
        UserError: a file is missing, or cannot be read.
    """
    name = ", ".join(str(file.path) for file in files)
    hashes = [_file_or_folder_hash(file.path) for file in files]
    derived = [
        [record.id, record.work, record.fact, record.direction, record.wording, record.asked]
        for record in records
        if _SPLIT_FIELDS.intersection(record.derived)
    ]
    if len(hashes) == 1 and not derived:
        return DataRecord(role, name, hashes[0])
    content = json.dumps([hashes, derived], ensure_ascii=False)
    return DataRecord(role, name, hashlib.sha256(content.encode("utf-8", "replace")).hexdigest())


def _file_or_folder_hash(path: Path) -> str:
    found = local_copy(path)
    if found.is_dir():
        return content_hash(found, question_files_in(found), file_hash)
    if not found.is_file():
        raise UserError(f"{path}: no such file; expected questions and answers")
    return file_hash(found).hex()


def record_paths(paths: DataPaths) -> tuple[DataRecord, ...]:
    """Every source of data that a run has, with its hash.

    Raises:
        UserError: one of them is missing, or cannot be read.
    """
    records: list[DataRecord] = []
    records += [record_data("articles", folder.path) for folder in paths.articles]
    if paths.questions:
        records.append(record_questions("questions", paths.questions, paths.read_questions()))
    records += [record_data("general_articles", folder.path) for folder in paths.general_articles]
    if paths.general_questions:
        records.append(
            record_questions(
                "general_questions", paths.general_questions, paths.read_general_questions()
            )
        )
    return tuple(records)
