"""Folders of articles, whatever they are written in: Markdown files, or Parquet shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from animelm.data.sources.hub import local_copy
from animelm.data.sources.markdown import (
    article_names,
    content_hash,
    find_articles,
    read_article,
    read_with_front_matter,
)
from animelm.data.sources.parquet import Row, column_names, file_hash, find_shards, read_rows
from animelm.data.text_files import plain_lines
from animelm.errors import UserError

_TEXT = "text"
_NAMES = ("title", "id")
_CARD = "README.md"  # lies beside the shards of a published dataset


class Article(Protocol):
    """One article. It can be handed to another process, unread.

    Attributes:
        name: no other article of its folder has it.
    """

    @property
    def name(self) -> str: ...

    def read(self) -> str:
        """Its text, stripped, with ``\\n`` line ends; empty where there is none."""
        ...

    def title(self) -> str:
        """What it is about: its title, else its name."""
        ...


class ArticleFolder(Protocol):
    """The articles of one folder, in an order that follows from its content alone.

    Attributes:
        folder: as it was given.
        count: how many they are; None where only reading them tells.
    """

    folder: Path
    count: int | None

    def content_hash(self) -> str:
        """A hash, in hexadecimal, that changes with any article, but not with the place."""
        ...

    def __iter__(self) -> Iterator[Article]: ...


def open_articles(folder: Path) -> ArticleFolder:
    """The articles of a folder and of those below it.

    Of ``.md`` files each is an article; of ``.parquet`` files each row is one. A README.md beside
    Parquet files is their dataset's card, and no article.

    Args:
        folder: or a single ``.parquet`` file, or a dataset on the hub (``local_copy``).

    Raises:
        UserError: there is no such folder, it holds neither, or both; or as ``local_copy``.
    """
    folder = local_copy(folder)
    shards = find_shards(folder)
    if not shards:
        return MarkdownFolder(folder)
    markdown = [path for path in folder.rglob("*.md") if path.name != _CARD]
    if markdown:
        raise UserError(
            f"{folder}: holds Markdown ({markdown[0].name}) and Parquet ({shards[0].name}); keep "
            "them in two folders"
        )
    return ParquetFolder(folder, shards)


@dataclass(frozen=True)
class MarkdownArticle:
    """An article in a file of its own, read where it is needed."""

    name: str
    path: Path

    def read(self) -> str:
        """The file's text without its front matter.

        Raises:
            UserError: as ``read_article``.
        """
        return read_article(self.path)

    def title(self) -> str:
        """The title in the file's front matter, else the file's name.

        Raises:
            UserError: as ``read_with_front_matter``.
        """
        title = read_with_front_matter(self.path)[0].get("title")
        return self.path.stem if title is None else str(title)


class MarkdownFolder:
    """The ``.md`` files of a folder, each an article named by its path below the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = find_articles(folder)
        self.count: int | None = len(self._paths)

    def content_hash(self) -> str:
        """Over names and bytes; checks every file to be UTF-8."""
        return content_hash(self.folder, self._paths)

    def __iter__(self) -> Iterator[MarkdownArticle]:
        names = article_names(self.folder, self._paths)
        return map(MarkdownArticle, names, self._paths)


@dataclass(frozen=True)
class ReadArticle:
    """An article that has been read already, out of a row."""

    name: str
    text: str

    def read(self) -> str:
        """The row's text."""
        return self.text

    def title(self) -> str:
        """The row's name, which is its title where it has one."""
        return self.name


class ParquetFolder:
    """Rows of Parquet files with a ``text`` column, streamed.

    A row is named by its ``title``, else its ``id``, else its file and number; a name that another
    row has already is made different by file and number.

    Args:
        folder: in which the files lie, or the only one.
        shards: the files.
    """

    def __init__(self, folder: Path, shards: list[Path]) -> None:
        self.folder = folder
        self.count: int | None = None
        self._shards = shards
        self._root = folder if folder.is_dir() else folder.parent

    def content_hash(self) -> str:
        """Over the names and bytes of the files."""
        return content_hash(self._root, self._shards, file_hash)

    def __iter__(self) -> Iterator[ReadArticle]:
        # Every file is looked at before the first is read, which may take hours.
        columns = [_article_columns(shard) for shard in self._shards]
        given: set[str] = set()
        for shard, chosen in zip(self._shards, columns, strict=True):
            [file] = article_names(self._root, [shard])
            for row in read_rows(shard, chosen):
                place = f"{file}:{row.number}"
                name = _name(row.values) or place
                name = f"{name} ({place})" if name in given else name
                given.add(name)
                yield ReadArticle(name, _text(row))


def _article_columns(shard: Path) -> list[str]:
    found = column_names(shard)
    if _TEXT not in found:
        raise UserError(
            f'{shard}: has no column "{_TEXT}", from which articles are read; its columns are '
            f"{', '.join(map(repr, found))}"
        )
    return [name for name in (_TEXT, *_NAMES) if name in found]


def _name(values: dict[str, Any]) -> str:
    names = (str(values[column]) for column in _NAMES if values.get(column) is not None)
    return next(filter(None, names), "")


def _text(row: Row) -> str:
    text = row.values[_TEXT]
    if text is not None and not isinstance(text, str):
        raise UserError(f'{row.where}: "{_TEXT}" must be a text, not {type(text).__name__}')
    return plain_lines(text or "").strip()
