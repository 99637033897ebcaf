"""Folders of Markdown articles."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from frontmatter.default_handlers import YAMLHandler

from animelm.data.sources.folder_files import find_files
from animelm.data.sources.parquet import SUFFIX as SHARDS
from animelm.errors import UserError
from animelm.reading import (
    LONGEST_TEXT,
    decode_utf8,
    parse_yaml,
    read_bytes,
    read_utf8,
    require_utf8_name,
)

SUFFIXES = (".md", ".markdown", ".txt")
"""Endings of the files that are articles, in lower case."""

_YAML = YAMLHandler()
_CARD = "README.md"
_MANIFEST = "manifest.jsonl"  # of a corpus that corpus build wrote
# What only the card of a dataset names: https://huggingface.co/docs/hub/datasets-cards.
_CARD_KEYS = frozenset(
    ("task_categories", "dataset_info", "size_categories", "pretty_name", "annotations_creators")
)


def find_articles(folder: Path) -> list[Path]:
    """The articles of a folder and its subfolders, sorted by path; see ``find_files``.

    The card of a dataset, a README.md in the folder itself, is left out. Symbolic links are not
    followed; a warning says so.

    Raises:
        UserError: there is no such folder, or no article in it.
    """
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {kind}; expected a folder of Markdown articles (.md)")
    found = find_files(folder, SUFFIXES)
    paths = [path for path in found.files if not _is_card(path, folder)]
    if not paths:
        kinds = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        links = find_files(folder, (*SUFFIXES, SHARDS)).about_links
        links = f"; {links}" if links else ""
        raise UserError(f"{folder}: holds no {kinds} file; expected articles{links}")
    found.warn_of_links(folder)
    return [require_utf8_name(path) for path in paths]


def _is_card(path: Path, folder: Path) -> bool:
    if path != folder / _CARD:
        return False
    if (folder / _MANIFEST).is_file():
        return True
    try:
        return not _CARD_KEYS.isdisjoint(read_with_front_matter(path)[0])
    except UserError:  # said when it is read
        return False


def article_names(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Paths relative to the folder, with ``/``."""
    return [path.relative_to(folder).as_posix() for path in paths]


def read_article(path: Path) -> str:
    """The text of an article without its YAML front matter, stripped.

    Raises:
        UserError: as for ``read_with_front_matter``.
    """
    return read_with_front_matter(path)[1]


def read_with_front_matter(path: Path) -> tuple[dict[str, Any], str]:
    """The YAML front matter of an article, empty where there is none, and its text, stripped.

    Front matter is read with YAML's safe loader, which builds plain values only. A rule of dashes
    at the top that is not followed by ``key: value`` lines belongs to the text.

    Raises:
        UserError: not UTF-8, or front matter that is not valid YAML.
    """
    text = read_utf8(path, LONGEST_TEXT).strip()
    if not _YAML.detect(text):
        return {}, text
    try:
        front_matter, body = _YAML.split(text)
    except ValueError:  # the rule of dashes is not closed
        return {}, text
    values = parse_yaml(front_matter, str(path), "front matter is ")
    return (values or {}, body.strip()) if isinstance(values, dict | None) else ({}, text)


def text_file_hash(path: Path) -> bytes:
    """SHA-256 of a text file, which is also checked to be UTF-8.

    Raises:
        UserError: the file is not UTF-8 or cannot be read.
    """
    content = read_bytes(path, LONGEST_TEXT)
    decode_utf8(content, path)
    return hashlib.sha256(content).digest()


def content_hash(
    folder: Path, paths: Sequence[Path], file_hash: Callable[[Path], bytes] = text_file_hash
) -> str:
    """Hexadecimal SHA-256 of the names and contents of files.

    Args:
        folder: the folder of the files; names are relative to it.
        paths: the files.
        file_hash: computes the SHA-256 of one file.

    Raises:
        UserError: as for ``file_hash``.
    """
    total = hashlib.sha256()
    for name, path in zip(article_names(folder, paths), paths, strict=True):
        total.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
        total.update(file_hash(path))
    return total.hexdigest()
