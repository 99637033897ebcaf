"""Folders of articles, as Markdown files or Parquet shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from animelm.data.sources.folder_files import find_files
from animelm.data.sources.hub import is_on_hub, local_copy
from animelm.data.sources.markdown import (
    SUFFIXES,
    article_names,
    content_hash,
    find_articles,
    read_article,
    read_with_front_matter,
)
from animelm.data.sources.parquet import SUFFIX as SHARDS
from animelm.data.sources.parquet import Row, column_names, file_hash, find_shards, read_rows
from animelm.errors import UserError
from animelm.reading import plain_lines

_TEXT = "text"
_NAMES = ("title", "id")
_CARD = "README.md"  # the dataset card beside published shards


class Article(Protocol):
    """One article, which another process can read.

    Attributes:
        name: unique in its folder.
    """

    @property
    def name(self) -> str: ...

    def read(self) -> str:
        """Its text, stripped, with ``\\n`` as line end; empty if it has none."""
        ...

    def title(self) -> str:
        """What it is about: its title, else its name."""
        ...


class ArticleFolder(Protocol):
    """The articles of one folder, in an order that depends on its content alone.

    Attributes:
        folder: the folder, as given.
        count: number of articles; None if it is not known before they are read.
    """

    folder: Path
    count: int | None

    def content_hash(self) -> str:
        """A hexadecimal hash of all articles, independent of where the folder is."""
        ...

    def __iter__(self) -> Iterator[Article]: ...


def open_articles(folder: Path) -> ArticleFolder:
    """Opens the articles of a folder and its subfolders.

    Each ``.md``, ``.markdown`` or ``.txt`` file is an article, or each row of ``.parquet`` files. A
    README.md beside Parquet files is the dataset card, not an article.

    Args:
        folder: a folder, a single ``.parquet`` file, or a dataset on the hub (see ``local_copy``).

    Raises:
        UserError: there is no such folder, it holds neither kind of file, or both; or as for
            ``local_copy``.
    """
    is_fetched = is_on_hub(folder)
    folder = local_copy(folder)
    shards = find_shards(folder, follows_links=is_fetched)
    if not shards:
        return MarkdownFolder(folder)
    markdown = [path for path in find_files(folder, SUFFIXES).files if path.name != _CARD]
    if markdown:
        raise UserError(
            f"{folder}: holds Markdown ({markdown[0].name}) and Parquet ({shards[0].name}); keep "
            "them in two folders"
        )
    if not is_fetched and folder.is_dir():
        find_files(folder, [SHARDS]).warn_of_links(folder)
    return ParquetFolder(folder, shards)


@dataclass(frozen=True)
class MarkdownArticle:
    """An article in a file of its own, which is read on demand."""

    name: str
    path: Path

    def read(self) -> str:
        """The text of the file without its front matter.

        Raises:
            UserError: as for ``read_article``.
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
    """Files of a folder; each is an article named by its path in the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = find_articles(folder)
        self.count: int | None = len(self._paths)

    def content_hash(self) -> str:
        """A hash of names and contents; checks that every file is UTF-8."""
        return content_hash(self.folder, self._paths)

    def __iter__(self) -> Iterator[MarkdownArticle]:
        names = article_names(self.folder, self._paths)
        return map(MarkdownArticle, names, self._paths)


@dataclass(frozen=True)
class RowArticle:
    """An article from a row, which has been read already.

    Attributes:
        name: unique in its folder.
        text: its text.
        heading: its title; another row may have the same one.
    """

    name: str
    text: str
    heading: str

    def read(self) -> str:
        """The row's text."""
        return self.text

    def title(self) -> str:
        """The row's title, else its id, else its file and row number."""
        return self.heading


class ParquetFolder:
    """Rows of Parquet files with a ``text`` column, streamed.

    A row is named by its ``title``, else its ``id``, else its file and row number. If an earlier
    row has the same name, file and row number are appended.

    Args:
        folder: the folder of the files, or the only file.
        shards: the files.
    """

    def __init__(self, folder: Path, shards: list[Path]) -> None:
        self.folder = folder
        self.count: int | None = None
        self._shards = shards
        self._root = folder if folder.is_dir() else folder.parent

    def content_hash(self) -> str:
        """A hash of the names and contents of the files."""
        return content_hash(self._root, self._shards, file_hash)

    def __iter__(self) -> Iterator[RowArticle]:
        # The columns of all files are checked first: reading one may take hours.
        columns = [_article_columns(shard) for shard in self._shards]
        given: set[str] = set()
        for shard, chosen in zip(self._shards, columns, strict=True):
            [file] = article_names(self._root, [shard])
            for row in read_rows(shard, chosen):
                place = f"{file}:{row.number}"
                heading = _name(row.values) or place
                name = f"{heading} ({place})" if heading in given else heading
                given.add(name)
                yield RowArticle(name, _text(row), heading)


def _article_columns(shard: Path) -> list[str]:
    found = column_names(shard)
    if _TEXT not in found:
        raise UserError(
            f'{shard}: expected a column "{_TEXT}" with the text of an article; its columns are '
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
