"""Does an exported adapter answer in stock tools as it does here, in each format?

    python benchmarks/export_fidelity.py --adapter runs/sft/adapter

The adapter of a CPT and an SFT, such as that of `make demo`, is exported as peft, merged, mxfp4 and
gguf. Stock transformers, PEFT and llama.cpp (extra `gguf`) open them in processes that cannot
import animelm, and answer the test questions that the adapter's record holds out. mxfp4 is rounded
in three ways. The last line is JSON.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from animelm.export.check import CheckResult, ask_before
from animelm.export.run import ExportFailed, check_questions, export, open_source
from animelm.export.settings import ExportSettings
from animelm.report.export import check_table

EXPORTS = {
    "peft": {"to": "peft"},
    "merged": {"to": "merged"},
    "merged_onto_original": {"to": "merged", "onto": "original"},
    "mxfp4_nearest": {"to": "mxfp4", "rounding": "nearest"},
    "mxfp4_search": {"to": "mxfp4", "rounding": "search"},
    "mxfp4": {"to": "mxfp4"},
    "gguf": {"to": "gguf"},
    "gguf_mxfp4": {"to": "gguf", "gguf_type": "mxfp4"},
}
console = Console(width=100)


def main() -> None:
    """Writes and checks each export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--adapter", type=Path, default=Path("runs/sft/adapter"))
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument(
        "--verify", type=Path, help="other questions than the test questions of its record"
    )
    parser.add_argument("--exports", nargs="+", choices=EXPORTS, default=list(EXPORTS))
    parser.add_argument("--scratch", type=Path, help="parent of the temporary folder")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        first = ExportSettings(
            options.adapter, "peft", Path(scratch) / "first", questions=options.questions,
            verify=options.verify, max_new_tokens=48,
        )  # fmt: skip
        source = open_source(first)
        before = ask_before(
            source.base, source.quantization, options.adapter, check_questions(source)
        )
        for name in options.exports:
            settings = replace(first, output=Path(scratch) / name, **EXPORTS[name])
            try:
                result = export(settings, before)
            except ExportFailed as failure:
                result = failure.result
            assert isinstance(result, CheckResult)
            console.print(check_table(result), *result.failures, *result.warnings)
            figures[name] = _figures(result)
    print(json.dumps(figures))


def _figures(result: CheckResult) -> dict[str, object]:
    found = {name: value for name, value in asdict(result).items() if value is not None}
    if result.accuracy_export is not None:
        found["accuracy_difference"] = result.accuracy_export - result.accuracy_adapter
    return found


if __name__ == "__main__":
    main()
