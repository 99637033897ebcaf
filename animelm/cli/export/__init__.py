"""export: an adapter as files that other tools open, checked by those tools."""

import sys

from jsonargparse import ArgumentParser

from animelm.cli.configs import find_configs
from animelm.export.publish.push import push
from animelm.export.run import ExportFailed, export
from animelm.export.settings import ExportSettings
from animelm.report.export import check_table
from animelm.terminal import Terminal, say

_DESCRIPTION = """\
Writes an adapter as files that other tools open: an adapter for stock PEFT and vLLM, merged weights
for transformers and vLLM, gpt-oss's 4-bit files, or a GGUF file for llama.cpp and Ollama. A stock
tool then opens them in a process of its own, and is asked the adapter's held-out questions. An
export whose answers differ stays in OUTPUT.failed, and the exit status is 1."""


def run(command: str, arguments: list[str]) -> None:
    """Parses the options, exports, and prints what the check found.

    Raises:
        SystemExit: with status 1, if the export failed its check.
    """
    parser = ArgumentParser(
        prog="python -m animelm export", description=_DESCRIPTION, exit_on_error=False
    )
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the options below."
    )
    parser.add_class_arguments(ExportSettings)
    parsed = parser.instantiate_classes(parser.parse_args(find_configs(arguments)))
    del parsed["config"]
    settings = ExportSettings(**parsed.as_dict())
    try:
        result = export(settings)
    except ExportFailed as failure:
        Terminal().print(check_table(failure.result))
        say(f"error: the export failed its check. {failure}", sys.stderr)
        raise SystemExit(1) from failure
    if result is None:
        say("Not checked: nothing says that this export answers as the adapter does.")
    else:
        Terminal().print(check_table(result))
        for warning in result.warnings:
            say(f"warning: {warning}", sys.stderr)
    say(f"Export: {settings.output}")
    if settings.push:
        say(f"Sent: {push(settings.output, settings.push, settings.public)}")
