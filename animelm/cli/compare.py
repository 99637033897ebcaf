"""compare: compares base, CPT and CPT+SFT."""

from jsonargparse import ArgumentParser
from rich.console import Console

from animelm.cli.configs import find_configs
from animelm.evaluate.compare import CompareSettings, compare
from animelm.evaluate.summary import Summary
from animelm.report.table import summary_tables

_DESCRIPTION = """\
Compares base, CPT and CPT+SFT on the same held-out questions, and by their perplexity on held-out
articles. Prints tables with 95 % intervals; writes every answer to results.jsonl, and
summary.json."""


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


def compare_and_print(settings: CompareSettings) -> Summary:
    """Runs the comparison, and prints its tables and the paths of its files."""
    summary = compare(settings)
    console = Console()
    console.print(summary_tables(summary))
    # Not through the console, which would break a long path over two lines.
    print(f"Answers: {settings.output / 'results.jsonl'}")
    print(f"Summary: {settings.output / 'summary.json'}")
    return summary
