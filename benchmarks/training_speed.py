"""Training speed and memory compared with stock TRL and PEFT, on the same tokens.

    python benchmarks/training_speed.py                 searches the stock settings, then measures
    python benchmarks/training_speed.py --peers NAME …  measures the named ones (see the search)

A gpt-oss of 110 million parameters with random weights trains on documents with the lengths of
JSQuAD's paragraphs. Every competitor runs in a separate process; repetitions take turns, so that
a machine that slows down slows all of them. Only useful tokens count: no padding. animelm keeps its
experts in 4 bits, stock PEFT keeps them in 16 or 32. Dropout is 0 everywhere, since stock PEFT
refuses it on experts.

The last line is JSON. ``gemm_share`` is the time of a step's matrix products alone over the step's
(see ``measuring/matrix_products.py`` for what is counted).
"""

import argparse
import dataclasses
import json
import os
import tempfile
from pathlib import Path

from rich.console import Console
from training_speed_parts.checkpoint import write_checkpoint
from training_speed_parts.documents import deal_out, load_documents, save_steps, token_count
from training_speed_parts.processes import CompetitorError, measure
from training_speed_parts.report import Results, loss_table, speed_table, summary
from training_speed_parts.search import search
from training_speed_parts.setting import Competitor, Measured, Ours, Peer, Run

# The same width if the output goes to a file.
console = Console(width=160)


def _attempt(run: Run, competitor: Competitor) -> Measured | None:
    """Measures a competitor and prints its figures; None if it fails."""
    try:
        measured = measure(run, competitor)
    except CompetitorError as error:
        console.print(f"  {competitor.name}: failed, {error}", markup=False)
        return None
    console.print(
        f"  {competitor.name}: {measured.tokens_per_s:,.0f} tokens/s, "
        f"{measured.peak_rss_gib:.2f} GiB"
    )
    return measured


def _take_turns(
    run: Run, ours: list[Ours], peers: list[Peer], repetitions: int
) -> tuple[Results, Results]:
    """Repeats all competitors in turn; those that fail are left out."""
    own: Results = {}
    stock: Results = {}
    for repetition in range(repetitions):
        console.print(f"Repetition {repetition + 1} of {repetitions}")
        for competitor in [*ours, *peers]:
            if measured := _attempt(run, competitor):
                found = own if isinstance(competitor, Ours) else stock
                found.setdefault(competitor.name, []).append(measured)
    return own, stock


def _prepare(arguments: argparse.Namespace, folder: Path) -> Run:
    documents, source = load_documents()
    steps = deal_out(documents, arguments.documents)
    save_steps(folder / "steps.npz", steps)
    parameters = write_checkpoint(folder / "base")
    tokens = [token_count(step) for step in steps]
    console.print(
        f"{parameters / 1e6:.0f} M parameters; {len(documents):,} documents ({source}); "
        f"{arguments.documents} documents and {min(tokens):,} to {max(tokens):,} tokens a step; "
        f"{arguments.threads} threads"
    )
    return Run(
        checkpoint=folder / "base",
        documents=folder / "steps.npz",
        documents_per_step=arguments.documents,
        warm_up=arguments.warm_up,
        steps=arguments.steps,
        threads=arguments.threads,
        memory_gib=arguments.memory_gib,
        cpu_time=arguments.cpu_time,
    )


def _compare(run: Run, arguments: argparse.Namespace) -> None:
    if arguments.peers:
        peers = [Peer.from_name(name) for name in arguments.peers]
    else:
        console.print("Searching the stock settings")
        quick = dataclasses.replace(run, steps=arguments.search_steps)
        peers = search(lambda peer: _attempt(quick, peer), run.documents_per_step)
    ours = [
        Ours("nf4", arguments.compute_type, bare_steps=arguments.steps),
        Ours("none", arguments.compute_type),
    ]
    own, stock = _take_turns(run, ours, peers, arguments.repetitions)
    if ours[0].name not in own or not stock:
        raise SystemExit("nothing to compare: one side has failed")
    console.print(speed_table({**own, **stock}))
    console.print(loss_table(own, stock))
    line = json.dumps(summary(own, stock, ours[0].name))
    if arguments.out:
        arguments.out.write_text(line + "\n", encoding="utf-8")
    print(line)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--steps", type=int, default=10, help="timed optimizer steps of a repetition")
    add("--warm-up", type=int, default=3, help="optimizer steps before them, 1 or more")
    add("--repetitions", type=int, default=3)
    add("--search-steps", type=int, default=3, help="timed steps of a search's measurement")
    add("--documents", type=int, default=16, help="documents of a step, a multiple of 16")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--memory-gib", type=float, default=16.0, help="memory limit of a competitor")
    add(
        "--cpu-time",
        action="store_true",
        help="count CPU seconds: for a busy machine, with one thread",
    )
    add("--compute-type", default="auto", choices=["auto", "float32", "bfloat16"])
    add("--peers", nargs="*", default=[], metavar="NAME", help="stock settings; default: search")
    add("--profile", metavar="NAME", help="profile one competitor and exit")
    add("--out", type=Path, help="file to write the JSON line to")
    return parser.parse_args()


def main() -> None:
    """Runs the benchmark."""
    arguments = _parse()
    with tempfile.TemporaryDirectory() as folder:
        run = _prepare(arguments, Path(folder))
        if not arguments.profile:
            _compare(run, arguments)
            return
        competitor: Competitor
        if arguments.profile.startswith("animelm-"):
            competitor = Ours(*arguments.profile.split("-")[1:])
        else:
            competitor = Peer.from_name(arguments.profile)
        measured = measure(run, competitor, profile=True)
        console.print(f"{measured.step_s:.2f} s a step under the profiler")


if __name__ == "__main__":
    main()
