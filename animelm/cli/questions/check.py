"""questions check: what is made of files of questions, before anything is trained on them."""

import json
from pathlib import Path

from jsonargparse import ArgumentParser

from animelm.data.domain import DataPaths
from animelm.data.held_out import DEFAULT_SPLIT, SplitSettings, split_questions
from animelm.data.sources.folder_files import FolderSetting, weighted_folders
from animelm.data.sources.qa import Columns, QARecord, QuestionFile
from animelm.errors import UserError
from animelm.files import write_whole
from animelm.report.questions import question_tables
from animelm.terminal import Terminal, say


def run(command: str, options: list[str]) -> None:
    """Parses the options of ``questions check`` and prints."""
    parser = ArgumentParser(
        prog=f"python -m animelm questions {command}",
        description="Shows what training would make of files of questions.",
        exit_on_error=False,
    )
    # Not from the signature: a list would be one argument, and a file's name the name of a list.
    parser.add_argument("files", nargs="+", type=Path, help="Files or folders of questions.")
    parser.add_argument(
        "--list",
        dest="list_held_out",
        action="store_true",
        help="List every fact and work that would be held out.",
    )
    parser.add_function_arguments(check, skip={"files", "list_held_out"})
    given = parser.instantiate_classes(parser.parse_args(options))
    check(**vars(given))


def check(
    files: list[Path],
    articles: FolderSetting = None,
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    held_out_wordings: float = DEFAULT_SPLIT.held_out_wordings or 0.0,
    held_out_works: float = DEFAULT_SPLIT.held_out_works or 0.0,
    dev_share: float = DEFAULT_SPLIT.dev_share,
    seed: int = DEFAULT_SPLIT.seed,
    shown: int = 10,
    list_held_out: bool = False,
    output: Path | None = None,
) -> None:
    """Shows what training would make of files of questions.

    Facts, works and short keys that the files do not name are derived. To correct them, write them
    to a file with --output, change it, and name it as data.records.

    Args:
        files: Files or folders of questions.
        articles: Folders of the articles on the domain, as data.folder: works are found among their
            titles.
        columns: Names of columns, where they have other names than the usual ones.
        held_out_wordings: Share of each fact's wordings that training would not see.
        held_out_works: Share of the works that training would never ask about.
        dev_share: Share of each held-out set's works that validation asks about.
        seed: Decides what is held out.
        shown: Number of facts, and of questions of each kind to look at, to show.
        list_held_out: List every fact and work that would be held out.
        output: JSON Lines file to write the records to, each with all that was derived.
    """
    if shown < 0:
        raise UserError(f"--shown must be 0 or more, not {shown}")
    split = SplitSettings(seed, held_out_wordings, held_out_works, dev_share=dev_share)
    paths = DataPaths(weighted_folders(articles), tuple(map(QuestionFile, files)), columns=columns)
    records = paths.read_questions()
    Terminal().print(
        question_tables(records, split_questions(records, [], split), shown, list_held_out)
    )
    if output is not None:
        write_whole(output, "".join(map(_line, records)).encode())
        say(f"records: {output}")


def _line(record: QARecord) -> str:
    """A record as a line of JSON that is read back as it is."""
    values = {name: value for name, value in vars(record).items() if value not in ((), None)}
    for name in (
        "derived",
        "weight",
        "whole_answers",
        "places",
        *(["keys"] if record.whole_answers else []),
    ):
        values.pop(name, None)
    if record.history:
        values["history"] = [{"role": turn.role, "content": turn.text} for turn in record.history]
    return json.dumps(values, ensure_ascii=False) + "\n"
