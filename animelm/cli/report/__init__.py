"""report: writes what a fit or a comparison found as a page, or as a weekly report."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli

from animelm.cli.quiet import quiet_libraries
from animelm.errors import UserError
from animelm.files import write_whole
from animelm.report.page.content import read_content
from animelm.report.page.html import MOST_QUESTIONS, report_page
from animelm.report.page.texts import Language
from animelm.report.page.weekly import write_weekly_report
from animelm.terminal import say

PAGE, WEEKLY, WEEKLY_FILES = "report.html", "report.md", "report-files"


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``report`` and writes it."""
    auto_cli(report, args=arguments, prog=f"python -m animelm {command}")


def report(
    folder: Path,
    language: Language | None = None,
    format: Literal["html", "markdown"] = "html",
    output: Path | None = None,
    questions: int = MOST_QUESTIONS,
    watts: float | None = None,
) -> None:
    """Writes a report on a folder that fit, compare, demo or reproduce wrote.

    The page is one HTML file that fetches nothing. The weekly report is Markdown in Japanese, with
    its pictures in a folder beside it.

    Args:
        folder: The folder.
        language: Language of the page, en or ja; by default en. The weekly report is always in
            Japanese.
        format: html writes the page, markdown the weekly report.
        output: The file to write. By default report.html or report.md in the folder.
        questions: Largest number of questions whose answers are shown in the page.
        watts: Mean power of the machine in watts, as you measured or know it. The report then
            states the energy of the comparison and of each fit. By default none is stated.

    Raises:
        UserError: the folder holds nothing to report, a file in it is malformed, or the report
            cannot be written.
    """
    if format == "markdown" and language == "en":
        raise UserError("--format markdown is in Japanese; leave out --language en, or use html")
    if questions < 1:
        raise UserError(f"--questions is {questions}; expected 1 or more")
    if watts is not None and not 0 < watts < math.inf:
        raise UserError(f"--watts is {watts}; expected a power above 0")
    content = replace(read_content(folder), watts=watts)
    path = output or folder / (PAGE if format == "html" else WEEKLY)
    if format == "html":
        write_whole(path, report_page(content, language or "en", questions))
    else:
        write_weekly_report(path, content)
    say(f"Report: {path}")


def write_page(folder: Path) -> None:
    """Writes the page of a comparison at its end."""
    with quiet_libraries():
        report(folder)
    say(f"`python -m animelm report {folder} --language ja` writes it in Japanese")
