"""From articles to tokenized, packed blocks under the gpt-oss vocabulary.

    python benchmarks/tokenize_speed.py                   18,000 articles, made of real sentences
    python benchmarks/tokenize_speed.py --folder FOLDER   the Markdown articles of a folder

Compared with a plain loop over ``tokenizers.encode_batch`` in one process (with a thread for each
core), and ``datasets.map`` with as many processes as ours. Both only tokenize; ours also checks
every file, appends an end token to every article, writes the memory-mapped store and packs. Each
runs once, in a separate process; loading the tokenizer counts for ours only.

The last line is JSON. Memory counts the whole tree of processes.
"""

import argparse
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tokenize_speed_parts.articles import write_articles
from tokenize_speed_parts.contenders import CONTENDERS, Task, write_base
from tokenize_speed_parts.measuring import Measured, measure

_DATA = Path(__file__).parent.parent.parent / "shared" / "data"
_MEGABYTE = 1e6


def main() -> None:
    """Runs the benchmark."""
    arguments = _parse()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        base = scratch / "base"
        base.mkdir()
        write_base(base, arguments.tokenizer)
        folder = arguments.folder
        if folder is None:
            folder = scratch / "articles"
            folder.mkdir()
            write_articles(folder, arguments.articles, _DATA)
        measured = {}
        for contender in arguments.only or CONTENDERS:
            own = scratch / contender
            own.mkdir()
            task = Task(base, folder, own, arguments.workers, arguments.block_size)
            measured[contender] = measure(CONTENDERS[contender], task)
            _print_figures(contender, measured[contender])
    Console(width=120).print(_table(measured))
    print(json.dumps(_summary(measured, arguments)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--folder", type=Path, help="Markdown articles; default: made of real sentences")
    add("--articles", type=int, default=18_000, help="how many to make (default 18,000)")
    add("--tokenizer", type=Path, default=_DATA / "tokenizers" / "gpt-oss" / "tokenizer.json")
    add("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: the cores")
    add("--block-size", type=int, default=512, help="tokens of a block (default 512)")
    add("--only", nargs="*", choices=CONTENDERS, help="contenders to run; default: all")
    return parser.parse_args()


def _print_figures(name: str, measured: Measured) -> None:
    result = measured.result
    print(
        f"{name}: {result.tokens:,} tokens in {result.seconds:.1f} s "
        f"({measured.cpu_seconds:.1f} s of processors)",
        flush=True,
    )


def _table(measured: dict[str, Measured]) -> Table:
    table = Table(title="From articles to tokens")
    table.add_column("")
    for heading in (
        "articles",
        "tokens",
        "seconds",
        "CPU s",
        "tokens/s",
        "peak memory [MB]",
        "padding",
    ):
        table.add_column(heading, justify="right")
    for name, one in measured.items():
        result = one.result
        padding = "–" if result.padding_share is None else f"{result.padding_share:.3%}"
        table.add_row(
            name,
            f"{result.articles:,}",
            f"{result.tokens:,}",
            f"{result.seconds:.1f}",
            f"{one.cpu_seconds:.1f}",
            f"{result.tokens / result.seconds:,.0f}",
            f"{one.peak_bytes / _MEGABYTE:,.0f}",
            padding,
        )
    return table


def _summary(measured: dict[str, Measured], arguments: argparse.Namespace) -> dict[str, object]:
    contenders = {
        name: {
            **{key: value for key, value in asdict(one.result).items() if value is not None},
            "tokens_per_s": one.result.tokens / one.result.seconds,
            "cpu_seconds": one.cpu_seconds,
            "peak_memory_mb": one.peak_bytes / _MEGABYTE,
        }
        for name, one in measured.items()
    }
    return {
        "benchmark": "tokenize_speed",
        "workers": arguments.workers,
        "block_size": arguments.block_size,
        "contenders": contenders,
    }


if __name__ == "__main__":
    main()
