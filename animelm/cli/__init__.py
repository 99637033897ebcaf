"""The command line, which imports every other package."""

import importlib
import os
import signal
import sys
from contextlib import suppress
from difflib import get_close_matches
from types import ModuleType

from animelm import __version__
from animelm.cli.parsing import errors_in_one_message
from animelm.cli.quiet import quiet_libraries
from animelm.errors import UserError
from animelm.reading import require_bounded_option
from animelm.terminal import plain_messages, say, show_every_character

# Command, module that runs it, description. A module is imported only when its command is run, so
# that `--help` is quick.
_TRAINER = "animelm.cli.trainer"
_EXPERIMENT = "animelm.cli.experiment"
COMMANDS = {
    "fit": (_TRAINER, "Train: continual pre-training (CPT) or supervised fine-tuning (SFT)"),
    "validate": (
        _TRAINER,
        "Score answers to the dev questions, and the loss on held-out articles",
    ),
    "test": (_TRAINER, "As validate, on the test questions"),
    "predict": (_TRAINER, "Write answers to the held-out questions on the domain, without scores"),
    "inspect": (
        "animelm.cli.inspect",
        "Print the model's modules and trainable parameters, without loading weights",
    ),
    "plan": (
        "animelm.cli.plan",
        "Estimate a run's memory and length, without loading weights",
    ),
    "compare": (
        "animelm.cli.compare",
        "Compare base, CPT, SFT and both: what was learned, what was forgotten",
    ),
    "report": (
        "animelm.cli.report",
        "Write what a fit or a comparison found as one page, or as a weekly report",
    ),
    "harness": (
        "animelm.cli.harness",
        "Score models on tasks of lm-evaluation-harness (the extra lm-eval)",
    ),
    "ask": ("animelm.cli.ask", "Ask a model a question, or base and adapter side by side"),
    "export": (
        "animelm.cli.export",
        "Write an adapter as files that other tools open, checked by those tools",
    ),
    "demo": (
        _EXPERIMENT,
        "CPT, SFT, a control and their comparison on a part of the sample, in minutes",
    ),
    "reproduce": (_EXPERIMENT, "The same on the whole sample, in hours"),
    "questions": (
        "animelm.cli.questions",
        "questions check: a file's facts, works, short keys and split",
    ),
    "corpus": (
        "animelm.cli.corpus",
        "corpus build: a Wikipedia dump to Markdown articles; corpus stats: what they are",
    ),
    "completion": (
        "animelm.cli.reference.completion",
        "Print a script that completes commands and options in bash, zsh or fish",
    ),
    "sample": ("animelm.cli.sample", "Write articles and questions from the tables of facts"),
    "base": (
        "animelm.cli.base",
        "Train the embedded base: corpus, tokenizer, all weights",
    ),
}
_WITH_SUBCOMMANDS = ("corpus", "questions")
_LONGEST_MESSAGE = 3000  # characters
_EXAMPLES = """\
A --config name that is not in the working directory is looked up in configs/.
`python -m animelm COMMAND --help` explains the options of a command.
`python -m animelm --version` prints the version.

  python -m animelm fit --config cpt.yaml
  python -m animelm fit --config sft.yaml
  python -m animelm validate --config sft.yaml
  python -m animelm compare --config compare.yaml
  tensorboard --logdir runs"""


def main(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: the command and its options; None takes those of the process.

    Returns:
        The exit status: 0 on success; 2 after a user error, with one message on the error stream;
        130 after Ctrl-C, 143 after SIGTERM, 141 if nobody reads what is printed.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    show_every_character()
    command, *options = arguments or ["--help"]
    try:
        if arguments == ["--version"]:
            say(f"animelm {__version__}")
            return 0
        if command in ("-h", "--help"):
            say(_overview())
            return 0 if arguments else 2
        for option in options:
            require_bounded_option(option)
        _run(command, options)
    except UserError as error:
        return _failed(str(error))
    except BrokenPipeError:
        return _reader_has_gone()
    except OSError as error:
        # The disk is full or the like, at a place that has no message of its own. Errors of
        # libraries without a number of the system are bugs, whose traceback is needed.
        if error.errno is None:
            raise
        return _failed(f"{error.filename or command}: {error.strerror or error}")
    except KeyboardInterrupt:
        say(f"{command} was ended by Ctrl-C", sys.stderr)
        return 128 + signal.SIGINT
    except SystemExit as stop:  # raised by the parsers after --help, and by a run after a signal
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _reader_has_gone() -> int:
    """The status of a program that prints into ``| head``; what is left to print goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os.dup2(nowhere, sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _failed(message: str) -> int:
    whole = len(message) <= _LONGEST_MESSAGE
    with suppress(OSError):  # the status says it as well
        say(f"error: {message if whole else message[:_LONGEST_MESSAGE] + ' …'}", sys.stderr)
    return 2


def _run(command: str, options: list[str]) -> None:
    if command not in COMMANDS:
        meant = get_close_matches(command, COMMANDS, n=1)
        nearest = f"did you mean {meant[0]}? There are" if meant else "expected one of"
        raise UserError(f"no command {command!r}; {nearest} {', '.join(COMMANDS)}")
    words = " ".join([command, *options[:1]]) if command in _WITH_SUBCOMMANDS else command
    with quiet_libraries(), errors_in_one_message(words):
        module = _module(command)
        with plain_messages():  # after the imports: Lightning's changes how warnings are printed
            module.run(command, options)


def _module(command: str) -> ModuleType:
    try:
        return importlib.import_module(COMMANDS[command][0])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "animelm":
            raise
        raise UserError(
            f"{sys.executable} has no package {error.name}. `make setup` installs all that animelm "
            "needs into .venv: use .venv/bin/python, or activate it with `. .venv/bin/activate`"
        ) from error


def _overview() -> str:
    lines = [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m animelm COMMAND [--config FILE] [OPTIONS]",
            "",
            "Teaches a 4-bit mixture-of-experts language model one domain, and measures what it",
            "learned and forgot.",
            "",
            *lines,
            "",
            _EXAMPLES,
        ]
    )
