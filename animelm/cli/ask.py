"""ask: questions from the command line, answered while one watches."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from jsonargparse import ArgumentParser
from rich.console import Console

from animelm.cli.configs import find_configs
from animelm.evaluate.ask import AskedModels, AskSettings
from animelm.evaluate.harmony import Reply
from animelm.report.replies import ReplyScreen

_DESCRIPTION = """\
Answers a question in the base's own chat format, word by word as it is generated. Without a
question it asks for one after the other, until Ctrl-D."""


def run(command: str, arguments: list[str]) -> None:
    """Answers the question of the command line, or those typed at the prompt."""
    parser = ArgumentParser(
        prog="python -m animelm ask", description=_DESCRIPTION, exit_on_error=False
    )
    parser.add_argument("question", nargs="?", help="the question; left out, it is asked for")
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the options below."
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text to read, or one JSON object a question, on one line",
    )
    parser.add_argument(
        "--compare", action="store_true", help="let the base answer as well, beside the adapter"
    )
    parser.add_class_arguments(AskSettings, skip={"compare"})
    parsed = parser.instantiate_classes(parser.parse_args(find_configs(arguments))).as_dict()
    question, as_json = parsed.pop("question"), parsed.pop("format") == "json"
    del parsed["config"]
    settings = AskSettings(**parsed)
    with Console(stderr=True).status(f"Loading {settings.base}"):
        models = AskedModels(settings)
    answer = _print_json if as_json else _show
    for asked in [question] if question else _typed_questions(as_json):
        answer(models, asked)


def _typed_questions(as_json: bool) -> Iterator[str]:
    if as_json:
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    console = Console()
    while True:
        try:
            question = console.input("[bold]質問>[/bold] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if question:
            yield question


def _print_json(models: AskedModels, question: str) -> None:
    answers = [
        {"model": name, **asdict(models.answer(name, question, _unseen))} for name in models.names
    ]
    print(json.dumps({"question": question, "answers": answers}, ensure_ascii=False), flush=True)


def _unseen(reply: Reply) -> None:
    """JSON shows whole replies only."""


def _show(models: AskedModels, question: str) -> None:
    with ReplyScreen(models.names) as screen:
        for name in models.names:
            screen.finish(name, models.answer(name, question, screen.growing(name)))
