"""harness: tasks of lm-evaluation-harness, answered by 4-bit models with adapters."""

from jsonargparse import ArgumentParser
from rich.table import Table

from animelm.cli.configs import find_configs
from animelm.evaluate.harness.run import RESULTS, Scores, run_harness
from animelm.evaluate.harness.settings import HarnessSettings
from animelm.locks import folder_lock
from animelm.terminal import Terminal, say

_DESCRIPTION = """\
Lets models answer tasks of lm-evaluation-harness, as they are stored in training: the 4-bit base,
with an adapter or without. Needs the extra: pip install 'animelm[lm-eval]'. Tasks of the harness
fetch their data from the Hugging Face hub; your own ones, in --task_folder, may name local files.
Prints the scores; writes them to harness.json, and every answer beside it."""


def run(command: str, arguments: list[str]) -> None:
    """Parses the options, lets the models answer, and prints their scores."""
    parser = ArgumentParser(
        prog="python -m animelm harness", description=_DESCRIPTION, exit_on_error=False
    )
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the options below."
    )
    parser.add_class_arguments(HarnessSettings)
    parsed = parser.instantiate_classes(parser.parse_args(find_configs(arguments)))
    del parsed["config"]
    settings = HarnessSettings(**parsed.as_dict())
    with folder_lock(settings.output, "--output"):
        found = run_harness(settings)
    Terminal().print(_table(found))
    say(f"Scores: {settings.output / RESULTS}")


def _table(found: dict[str, Scores]) -> Table:
    """A row for each task and metric, a column for each model."""
    table = Table(title="lm-evaluation-harness: score ± standard error")
    for heading in ("task", "metric", *found):
        table.add_column(heading, justify="left" if heading in ("task", "metric") else "right")
    tasks = dict.fromkeys(task for scores in found.values() for task in scores)
    for task in tasks:
        metrics = dict.fromkeys(
            name for scores in found.values() for name in _measured(scores.get(task, {}))
        )
        for metric in metrics:
            cells = (_cell(scores.get(task, {}), metric) for scores in found.values())
            table.add_row(task, metric.partition(",")[0], *cells)
    return table


def _measured(scores: dict[str, object]) -> list[str]:
    """Names such as ``acc,none``: a metric and the filter of its answers."""
    return [name for name in scores if "," in name and "_stderr," not in name]


def _cell(scores: dict[str, object], metric: str) -> str:
    value = scores.get(metric)
    error = scores.get(metric.replace(",", "_stderr,", 1))
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.4f}" + (f" ± {error:.4f}" if isinstance(error, int | float) else "")
