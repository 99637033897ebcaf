"""The command line: the one place that knows every room."""

import importlib
import logging
import os
import sys

from animelm.errors import UserError

# Command, module that runs it, what it does. Modules are imported when asked for: `--help` stays quick.
_TRAINER = "animelm.cli.trainer"
COMMANDS = {
    "fit": (_TRAINER, "Train: continual pre-training or fine-tuning, by --config"),
    "validate": (_TRAINER, "Answer a part of the held-out questions, or measure held-out articles"),
    "test": (_TRAINER, "The same on all held-out questions"),
    "predict": (_TRAINER, "Answer the questions of a data module, without scores"),
    "inspect": ("animelm.cli.inspection", "Print the model's modules and what would be trained; loads no weights"),
    "compare": ("animelm.cli.comparison", "Compare base, CPT and CPT+SFT: what was learned, what was lost"),
    "demo": ("animelm.cli.experiment", "CPT, SFT and comparison on a slice of the sample, in minutes"),
    "reproduce": ("animelm.cli.experiment", "The same on the whole sample, without a limit of time"),
    "sample": ("animelm.cli.sampling", "Write articles and questions from the tables of facts"),
    "base": ("animelm.cli.base", "Make the embedded base again: corpus, tokenizer, training"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; a user's mistake becomes one message on the error stream and status 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    command = arguments[0]
    if command not in COMMANDS:
        print(f"error: no command {command!r}; expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    _quieten_libraries()
    try:
        importlib.import_module(COMMANDS[command][0]).run(command, arguments[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _overview() -> str:
    lines = [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m animelm COMMAND [--config FILE] [OPTIONS]",
            "",
            "Teaches a 4-bit mixture-of-experts language model one domain, and measures what it learned and lost.",
            "",
            *lines,
            "",
            "A --config name that is not in the working directory is looked up in configs/.",
            "`python -m animelm COMMAND --help` explains a command's options.",
            "",
            "  python -m animelm fit --config cpt.yaml",
            "  python -m animelm fit --config sft.yaml",
            "  python -m animelm validate --config sft.yaml",
            "  python -m animelm compare --config compare.yaml",
            "  tensorboard --logdir runs",
        ]
    )


def _quieten_libraries() -> None:
    """Drops messages of libraries that tell the user nothing to act on."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.trainer.connectors.logger_connector"):
        logging.getLogger(name).addFilter(lambda record: "litlogger" not in record.getMessage())
