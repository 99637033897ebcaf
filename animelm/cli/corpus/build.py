"""corpus build: from a Wikipedia dump to Markdown articles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jsonargparse import ArgumentParser, DefaultHelpFormatter
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
)
from animelm.corpus.cleaning.clean import CleaningSettings
from animelm.corpus.cleaning.decontaminate import Question
from animelm.corpus.output import BuildResult
from animelm.corpus.parallel import local_workers
from animelm.corpus.selection.select import Selection, Selector
from animelm.terminal import Terminal, say

_DESCRIPTION = """\
Turns MediaWiki exports into a folder of Markdown articles that `fit` trains on. Beside the articles
it writes a manifest, a list of the articles left out with the reasons, and a dataset card.

The dump is scanned once and the scan is cached; only the selected pages are parsed. Pages that
cannot be parsed are reported. After an interruption, the same command continues the build; if
nothing has changed since the last build, it writes nothing."""
_EXAMPLES = """\
examples:
  every article:      --dump jawiki-latest-pages-articles-multistream.xml.bz2 --out corpus
  a category's tree:  … --category アニメ --depth 4 --except-category 声優
  one work:           … --category 銀魂 --title-pattern 銀魂 --match any
  from a config:      --config corpus/gintama.yaml --dump …
  explain a page:     … --category アニメ --explain 銀魂
then:                 python -m animelm fit --config cpt.yaml --data.folder corpus/articles"""


def run(command: str, arguments: list[str]) -> None:
    """Builds a corpus, or explains why a page is selected or not."""
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
    which = parser.add_class_arguments(Selection)
    parser.add_class_arguments(CleaningSettings, "cleaning")
    # Known only when the dump has been opened.
    parser.set_defaults({"cleaning.language": "dump"})
    parser.add_argument(
        "--explain",
        type=str | None,
        help="Only print why the page with this title is selected or not.",
    )
    parsed = parser.parse_args(find_configs([_with_underscores(each) for each in arguments]))
    settings = BuildSettings(**{name: parsed[name] for name in where})
    selection = Selection(**{name: parsed[name] for name in which})
    with local_workers(settings.worker_count) as executor:
        indexes = index_dumps(settings, executor, _bar)
        if parsed.explain is not None:
            say(Selector(selection, indexes).explain(parsed.explain))
            return
        if parsed.cleaning.language == "dump":
            parsed.cleaning.language = dump_language(indexes)
        cleaning = CleaningSettings(**parsed.cleaning.as_dict())
        questions = _read_questions(cleaning.questions)
        built = build_corpus(indexes, settings, selection, cleaning, questions, executor, _bar)
    _print_built(built, settings.out)


class _PlainHelp(DefaultHelpFormatter):
    """Keeps the line breaks of the description, so that its examples can be copied."""

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
    """A progress bar on the error stream, apart from the printed output."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Terminal(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, advance=done)


def _print_built(built: BuildResult, out: Path) -> None:
    counts = built.counts
    table = Table(title="Corpus")
    table.add_column("")
    table.add_column("pages", justify="right")
    for name, number in (
        ("articles in the dump", counts.articles),
        ("selected", counts.selected),
        ("kept", counts.kept),
        ("not parsed", counts.not_parsed),
        ("left out in cleaning", counts.refused),
    ):
        table.add_row(name, f"{number:,}")
    Terminal().print(table)
    for failure in built.failures:
        say(f"not parsed: {failure.title} ({failure.dump}, {failure.place}): {failure.reason}")
    # Not through the console, which would break a long path over two lines.
    say(f"Articles ({counts.characters:,} characters): {out / 'articles'}")
    if counts.selected > counts.kept:
        say(f"Articles left out, with reasons: {out / 'left_out.jsonl'}")
