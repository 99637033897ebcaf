"""compare: base, CPT and CPT+SFT side by side."""

from jsonargparse import ArgumentParser
from rich.console import Console

from animelm.cli.configs import find_configs
from animelm.evaluate.compare import CompareSettings, compare
from animelm.evaluate.summary import Summary
from animelm.report.table import summary_tables

_DESCRIPTION = """\
Lets the base, CPT and CPT+SFT answer the same held-out questions and measures their perplexity on
held-out articles. Prints the comparison with 95 % intervals; writes results.jsonl (every answer)
and summary.json."""


def run(command: str, arguments: list[str]) -> None:
    """Compares, prints the tables, and says where the files are."""
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
    """The comparison, printed."""
    summary = compare(settings)
    console = Console()
    console.print(summary_tables(summary))
    # Plain: a path broken over two lines cannot be copied.
    print(f"Every answer: {settings.output / 'results.jsonl'}")
    print(f"The numbers: {settings.output / 'summary.json'}")
    return summary
