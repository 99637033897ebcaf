"""ask: answers questions in the terminal."""

import sys
from collections.abc import Iterator
from dataclasses import asdict

from jsonargparse import ArgumentParser

from animelm.cli.configs import find_configs
from animelm.evaluate.ask import AskedModels, AskSettings
from animelm.evaluate.harmony import Reply
from animelm.reading import require_characters
from animelm.report.replies import ReplyScreen
from animelm.terminal import Terminal, say_json

_DESCRIPTION = """\
Answers a question in the chat format of the base, and shows the answer while it is generated.
Without a question, it reads questions one after another, until Ctrl-D."""


def run(command: str, arguments: list[str]) -> None:
    """Answers the question of the command line, or those typed at the prompt."""
    parser = ArgumentParser(
        prog="python -m animelm ask", description=_DESCRIPTION, exit_on_error=False
    )
    parser.add_argument(
        "question",
        nargs="?",
        help="The question. Without it, questions are read from the terminal.",
    )
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the options below."
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="Output: text, or one line of JSON per question.",
    )
    parser.add_argument(
        "--compare", action="store_true", help="Let the base answer as well, next to the adapter."
    )
    parser.add_class_arguments(AskSettings, skip={"compare"})
    parsed = parser.instantiate_classes(parser.parse_args(find_configs(arguments))).as_dict()
    require_characters(parsed.get("question") or "", "the question")
    question, as_json = parsed.pop("question"), parsed.pop("format") == "json"
    del parsed["config"]
    settings = AskSettings(**parsed)
    with Terminal(stderr=True).status(f"Loading {settings.base}"):
        models = AskedModels(settings)
    answer = _print_json if as_json else _show
    for asked in [question] if question else _typed_questions(as_json):
        answer(models, asked)


def _typed_questions(as_json: bool) -> Iterator[str]:
    if as_json:
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    console = Terminal()
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
    say_json({"question": question, "answers": answers})


def _unseen(reply: Reply) -> None:
    """JSON contains complete replies only."""


def _show(models: AskedModels, question: str) -> None:
    with ReplyScreen(models.names) as screen:
        for name in models.names:
            screen.finish(name, models.answer(name, question, screen.growing(name)))
