"""compare: compares base, CPT, SFT without CPT, and CPT + SFT."""

from pathlib import Path

from jsonargparse import ArgumentParser

from animelm.cli.configs import find_configs
from animelm.cli.report import write_page
from animelm.evaluate.compare import CompareSettings, compare
from animelm.evaluate.summary import Summary, write_summary
from animelm.locks import clear_leftovers, folder_lock
from animelm.report.comparison_picture import save_comparison_picture
from animelm.report.table import summary_tables
from animelm.terminal import Terminal, say

_DESCRIPTION = """\
Compares base, CPT, SFT without CPT, and CPT + SFT, or any models that a config names, on the same
questions that none was trained on, and by their perplexity on held-out articles. Prints tables with
95 % intervals; writes every answer to results.jsonl, what was gained, kept and lost to outcomes.csv
and outcome_counts.csv, the figures to summary.json, and a report of it all to report.html. A
comparison that was interrupted goes on where it stopped."""


def run(command: str, arguments: list[str]) -> None:
    """Parses the options, compares, and prints the tables."""
    parser = ArgumentParser(
        prog="python -m animelm compare", description=_DESCRIPTION, exit_on_error=False
    )
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the options below."
    )
    parser.add_class_arguments(CompareSettings)
    parsed = parser.instantiate_classes(parser.parse_args(find_configs(arguments)))
    del parsed["config"]
    compare_and_print(CompareSettings(**parsed.as_dict()))


def compare_and_print(settings: CompareSettings) -> None:
    """Runs the comparison, and prints its tables and the paths of its files."""
    with folder_lock(settings.output, "--output"):
        clear_leftovers(settings.output)
        summary = compare(settings)
        print_and_save(summary, settings.output)
    # Not through the console, which would break a long path over two lines.
    say(f"Answers: {settings.output / 'results.jsonl'}")


def print_and_save(summary: Summary, folder: Path) -> None:
    """Prints the tables of a comparison; writes summary.json, comparison.svg and report.html."""
    Terminal().print(summary_tables(summary))
    write_summary(folder / "summary.json", summary)
    save_comparison_picture(folder / "comparison.svg", summary)
    say(f"Picture: {folder / 'comparison.svg'}")
    say(f"Summary: {folder / 'summary.json'}")
    write_page(folder)
