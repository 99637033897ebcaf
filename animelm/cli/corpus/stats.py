"""corpus stats: statistics of a folder of articles."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli
from rich.progress import track
from tokenizers import Tokenizer

from animelm.corpus.output import ARTICLES, MANIFEST
from animelm.corpus.statistics import ArticleText, corpus_statistics
from animelm.data.sources.markdown import find_articles, read_with_front_matter
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.files import make_folder, write_whole
from animelm.report.corpus_stats import print_statistics, statistics_page
from animelm.terminal import Terminal, say


def run(command: str, options: list[str]) -> None:
    """Parses the options of ``corpus stats`` and prints."""
    auto_cli(
        stats,
        args=options,
        as_positional=False,
        prog=f"python -m animelm corpus {command}",
        exit_on_error=False,
    )


def stats(
    folder: Path,
    tokenizer: str | None = None,
    html: Path | None = None,
    categories: int = 20,
    samples: int = 5,
    seed: int = 0,
) -> None:
    """Prints statistics of a corpus: number and lengths of articles, categories, and samples.

    Args:
        folder: Folder that `corpus build` wrote, or any folder of Markdown articles.
        tokenizer: A tokenizer.json, or the checkpoint folder or hub name of a base. With it, tokens
            are counted as well, also per Japanese character.
        html: HTML file to write the same statistics to.
        categories: Number of the most frequent categories to list.
        samples: Number of randomly drawn articles to show, up to 200.
        seed: Seed for drawing the samples.
    """
    for option, number in (("categories", categories), ("samples", samples)):
        if number < 0:
            raise UserError(f"--{option} must be 0 or more, not {number}")
    if html is not None:
        make_folder(html.parent, "the folder of --html")  # before minutes of counting tokens
    # The dataset card of a built corpus is Markdown as well, but no article.
    built = (folder / MANIFEST).is_file() and (folder / ARTICLES).is_dir()
    paths = find_articles(folder / ARTICLES if built else folder)
    encoder = _load(tokenizer) if tokenizer else None
    empty: list[Path] = []
    articles = _with_text(paths, empty)
    first = next(articles, None)
    if first is None:
        raise UserError(f"{folder}: none of its {len(paths):,} files holds text; expected articles")
    statistics = corpus_statistics(chain([first], articles), encoder, categories, samples, seed)
    name = folder.resolve().name
    print_statistics(statistics, name)
    if empty:
        files = "1 file" if len(empty) == 1 else f"{len(empty):,} files"
        say(f"! not counted: {files} without text, such as {empty[0]}")
    if html is not None:
        write_whole(html, statistics_page(statistics, name).encode("utf-8", "replace"))
        say(f"HTML page: {html}")


def _with_text(paths: list[Path], empty: list[Path]) -> Iterator[ArticleText]:
    """The articles that hold text beside their front matter; the others go into ``empty``."""
    console = Terminal(stderr=True)
    for path in track(paths, "Reading", console=console, disable=not console.is_terminal):
        front_matter, text = read_with_front_matter(path)
        if not text:
            empty.append(path)
            continue
        title = front_matter.get("title")
        yield ArticleText(
            path.stem if title is None else str(title),
            text,
            _categories(front_matter.get("categories")),
        )


def _categories(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _load(name: str) -> Tokenizer:
    """Loads the tokenizer of a base or a file, set to encode whole texts without control tokens.

    Raises:
        UserError: there is no such file or base, or it holds no tokenizer.
    """
    path = Path(name)
    if path.is_file():
        try:
            tokenizer = Tokenizer.from_file(name)
        except Exception as error:  # the library raises no narrower one
            raise UserError(f"{path}: not a tokenizer.json: {error}") from error
    else:
        tokenizer = load_tokenizer(name).backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
