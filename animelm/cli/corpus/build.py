"""corpus build: from a Wikipedia dump to Markdown articles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jsonargparse import ArgumentParser, DefaultHelpFormatter
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from animelm.cli.configs import find_configs
from animelm.corpus.build import (
    Advance,
    BuildSettings,
    build_corpus,
    dump_language,
    index_dumps,
    local_workers,
)
from animelm.corpus.cleaning.clean import CleaningSettings
from animelm.corpus.cleaning.decontaminate import Question
from animelm.corpus.output import Built
from animelm.corpus.selection.select import Choice, Selector

_DESCRIPTION = """\
Turns MediaWiki exports into a folder of Markdown articles that `fit` trains on: out/articles, with
a manifest, a list of what was left out and why, and a dataset card.

Scans the dump once (and remembers what is in it), chooses, and parses only what was chosen. A page
that cannot be parsed is reported, never dropped in silence. Interrupted, the same command goes on
where it stopped; run again, it changes no byte."""
_EXAMPLES = """\
examples:
  every article:      --dump jawiki-latest-pages-articles-multistream.xml.bz2 --out corpus
  a category's tree:  … --category アニメ --depth 4 --except-category 声優
  one work:           … --category 銀魂 --title-pattern 銀魂 --match any
  from a config:      --config corpus/gintama.yaml --dump …
  why (not) a page:   … --category アニメ --explain 銀魂
then:                 python -m animelm fit --config cpt.yaml --data.folder corpus/articles"""


def run(command: str, arguments: list[str]) -> None:
    """Builds a corpus, or explains why a page is in it or out."""
    parser = ArgumentParser(
        prog=f"python -m animelm corpus {command}",
        description=f"{_DESCRIPTION}\n\n{_EXAMPLES}",
        formatter_class=_PlainHelp,
        exit_on_error=False,
    )
    parser.add_argument(
        "--config", action="config", help="YAML file with any of the options below."
    )
    where = parser.add_class_arguments(BuildSettings)
    which = parser.add_class_arguments(Choice)
    parser.add_class_arguments(CleaningSettings, "cleaning")
    # Known only when the dump has been opened.
    parser.set_defaults({"cleaning.language": "dump"})
    parser.add_argument(
        "--explain", type=str | None, help="Only say why the page of this title is in or out."
    )
    parsed = parser.parse_args(find_configs([_with_underscores(each) for each in arguments]))
    settings = BuildSettings(**{name: parsed[name] for name in where})
    choice = Choice(**{name: parsed[name] for name in which})
    with local_workers(settings.worker_count) as executor:
        indexes = index_dumps(settings, executor, _bar)
        if parsed.explain is not None:
            print(Selector(choice, indexes).explain(parsed.explain))
            return
        if parsed.cleaning.language == "dump":
            parsed.cleaning.language = dump_language(indexes)
        cleaning = CleaningSettings(**parsed.cleaning.as_dict())
        questions = _read_questions(cleaning.questions)
        built = build_corpus(indexes, settings, choice, cleaning, questions, executor, _bar)
    _print_built(built, settings.out)


class _PlainHelp(DefaultHelpFormatter):
    """The description as it stands: its examples are lines to be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text


def _with_underscores(argument: str) -> str:
    """``--title-pattern`` as ``--title_pattern``, which is how the parser names it."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _read_questions(paths: tuple[Path, ...]) -> list[Question]:
    if not paths:
        return []
    from animelm.data.sources.qa import read_qa  # takes seconds; most builds need none

    return [
        Question(record.id, record.question) for path in paths for record in read_qa(Path(path))
    ]


@contextmanager
def _bar(description: str, total: int) -> Iterator[Advance]:
    """A bar on the error stream, where it does not get into what is printed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, advance=done)


def _print_built(built: Built, out: Path) -> None:
    counts = built.counts
    table = Table(title="Corpus")
    table.add_column("")
    table.add_column("pages", justify="right")
    for name, number in (
        ("articles in the dump", counts.articles),
        ("chosen", counts.chosen),
        ("kept", counts.kept),
        ("not parsed", counts.not_parsed),
        ("refused in cleaning", counts.refused),
    ):
        table.add_row(name, f"{number:,}")
    Console().print(table)
    for failure in built.failures:
        print(f"not parsed: {failure.title} ({failure.dump}, {failure.place}): {failure.reason}")
    # Plain: a path broken over two lines cannot be copied.
    print(f"Articles ({counts.characters:,} characters): {out / 'articles'}")
    if counts.chosen > counts.kept:
        print(f"Left out, with reasons: {out / 'left_out.jsonl'}")
