"""ask: answers questions in the terminal."""

import io
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import cast

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from animelm.cli.ask.input import piped_lines, question_of, typed_lines
from animelm.cli.ask.stream import ReplyStream
from animelm.cli.configs import find_configs
from animelm.errors import UserError
from animelm.evaluate.ask import AskedModels, AskSettings
from animelm.reading import require_characters
from animelm.report.replies import ReplyScreen
from animelm.terminal import Terminal, printable, say, say_json

_DESCRIPTION = """\
Answers a question in the chat format of the base, and shows the answer while it is generated.
Without a question, it reads one a line: at a prompt with history and line editing, or from a pipe
in UTF-8, UTF-16 (with a byte order mark), Shift_JIS, EUC-JP or ISO-2022-JP."""
_EXAMPLES = """\
examples:
  one question, greedily: the same answer every time
    python -m animelm ask --base BASE --adapter runs/sft/adapter "主人公は誰ですか?"
  base and adapter side by side
    python -m animelm ask --base BASE --adapter runs/sft/adapter --compare "主人公は誰ですか?"
  a conversation, in which a question may refer to earlier ones
    python -m animelm ask --base BASE --conversation
  sampled answers; the seed makes them come back
    python -m animelm ask --base BASE --temperature 0.7 --top_p 0.9 --seed 1 "自己紹介して"
  many questions, one line of JSON each
    python -m animelm ask --base BASE --format json < questions.txt

at the prompt:
  up and down bring back earlier questions, Ctrl-C stops an answer, Ctrl-D ends.
  /new   begins a new conversation
  /help  shows this"""
_AT_THE_PROMPT = _EXAMPLES.partition("at the prompt:\n")[2]
_NEW, _HELP = "/new", "/help"

Show = Callable[[AskedModels, str], None]


class _HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


def run(command: str, arguments: list[str]) -> None:
    """Answers the question of the command line, or those typed at the prompt."""
    parser = ArgumentParser(
        prog="python -m animelm ask",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=_HelpFormatter,
        exit_on_error=False,
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
    parser.add_argument(
        "--conversation",
        action="store_true",
        help="Let each question follow the earlier ones and their answers, as far as they fit into "
        "the base's context. Otherwise each is asked alone.",
    )
    parser.add_class_arguments(AskSettings, skip={"compare", "conversation"})
    parsed = parser.instantiate_classes(parser.parse_args(find_configs(arguments))).as_dict()
    require_characters(parsed.get("question") or "", "the question")
    question, as_json = parsed.pop("question"), parsed.pop("format") == "json"
    del parsed["config"]
    settings = AskSettings(**parsed)
    if isinstance(sys.stdout, io.TextIOWrapper):  # one that cannot show every character
        sys.stdout.reconfigure(errors="replace")
    with Terminal(stderr=True).status(f"Loading {settings.base}"):
        models = AskedModels(settings)
    show: Show = _print_json if as_json else _show
    if question:
        show(models, question)
    elif sys.stdin is not None and sys.stdin.isatty():
        _answer_typed(models, show)
    else:
        _answer_piped(models, show if as_json else _show_with_question)


def _answer_typed(models: AskedModels, show: Show) -> None:
    say(_AT_THE_PROMPT)
    for line in typed_lines():
        try:
            _answer(models, show, question_of(line))
        except UserError as error:
            say(f"error: {error}", sys.stderr)
        except KeyboardInterrupt:
            say("\n(stopped)")


def _answer_piped(models: AskedModels, show: Show) -> None:
    """Answers each line.

    Raises:
        UserError: at the end, if there was no question, or one was not answered.
    """
    asked = failed = 0
    for asked, line in enumerate(_piped(), start=1):
        try:
            _answer(models, show, question_of(line))
        except UserError as error:
            say(f"question {asked}: {error}", sys.stderr)
            failed += 1
    if not asked:
        raise UserError("no question: the standard input is empty; give one a line")
    if failed:
        raise UserError(f"{failed} of {asked} questions were not answered")


def _piped() -> Iterable[bytes]:
    if sys.stdin is None:
        raise UserError("no question: there is no standard input; give one after the options")
    return piped_lines(cast(io.BufferedReader, sys.stdin.buffer))


def _answer(models: AskedModels, show: Show, question: str) -> None:
    if question == _NEW:
        models.forget()
        say("(new conversation)", sys.stderr)
    elif question == _HELP:
        say(_AT_THE_PROMPT, sys.stderr)
    elif question:
        show(models, question)


def _print_json(models: AskedModels, question: str) -> None:
    answers = [{"model": name, **asdict(models.answer(name, question))} for name in models.names]
    say_json({"question": question, "answers": answers})


def _show_with_question(models: AskedModels, question: str) -> None:
    say(f"質問> {printable(question)}")
    _show(models, question)


def _show(models: AskedModels, question: str) -> None:
    if len(models.names) == 1:
        stream, [name] = ReplyStream(), models.names
        stream.finish(models.answer(name, question, stream.show))
        return
    with ReplyScreen(models.names) as screen:
        for name in models.names:
            screen.finish(name, models.answer(name, question, screen.growing(name)))
