"""sample: writes articles and questions from the tables of facts."""

from pathlib import Path

from jsonargparse import auto_cli

from animelm.sample.writer import GENERATED, write_sample
from animelm.terminal import say


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``sample`` and writes the sample."""
    auto_cli(sample, args=arguments, prog="python -m animelm sample", exit_on_error=False)


def sample(out: Path = GENERATED, works: int | None = 24) -> None:
    """Writes articles and questions from the tables of facts; the result is always the same.

    Args:
        out: Folder to write to. By default the sample that the configs use is replaced.
        works: Number of anime works to write. null writes all works of the table.
    """
    written = write_sample(out, works)
    works_written = f"{written.works} anime work{'s' * (written.works != 1)}"
    say(
        f"{out}: {works_written} with {written.anime_questions:,} questions, "
        f"{written.subjects} other subjects with {written.general_questions:,}"
    )
