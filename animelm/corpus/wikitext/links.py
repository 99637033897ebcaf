"""Replaces internal links by their text; recognizes categories and files by their prefixes."""

import re
from importlib.resources import files

import yaml

from animelm.corpus.wikitext.context import Context
from animelm.corpus.wikitext.strip_markers import GONE

# Without other markup inside: the great majority of links.
_SIMPLE = re.compile(r"\[\[([^\[\]{}|\n]*)(?:\|([^\[\]{}|]*))?\]\](?!\])")
_FILES = frozenset(("file", "image", "ファイル", "画像", "media", "メディア"))
_CATEGORIES = frozenset(("category", "カテゴリ", "カテゴリー"))
_LANGUAGES = frozenset(
    yaml.safe_load(files(__package__).joinpath("languages.yaml").read_text("utf-8"))[
        "codes"
    ].split()
)
_NAMESPACE_CHARACTERS = 15
# A picture whose only size is the height of a line shows letters.
_LINE_HEIGHT = re.compile(r" *x\d{1,2}px *")
_PICTURE_OPTION = re.compile(r" *(?:[a-z-]+|[a-z]+=.*|(?:\d+|\d*x\d+)px) *", re.DOTALL)


def replace_simple_links(text: str, context: Context) -> str:
    """The text with every link without other markup inside replaced by its visible text."""
    if "[[" not in text:
        return text
    return _SIMPLE.sub(
        lambda match: link_text(match[1], () if match[2] is None else (match[2],), context), text
    )


def link_text(target: str, labels: tuple[str, ...], context: Context) -> str:
    """The visible text of ``[[target|labels…]]``; a category is added to the context."""
    prefix, colon, name = target.partition(":")
    if colon and prefix and len(prefix) <= _NAMESPACE_CHARACTERS:
        namespace = prefix.strip().lower()
        if namespace in _CATEGORIES:
            _note_category(name, context)
            return ""
        if namespace in _FILES:
            return _pictured_text(labels) or _after_broken_file(labels)
        if namespace in _LANGUAGES:
            return ""
    if _is_broken(target, labels):
        return " ".join((target, *labels))
    return "|".join(labels) if any(labels) else _own_name(target)


def _own_name(target: str) -> str:
    """The text of a link without a label: its target without ``:`` and a language code."""
    target = target.strip()
    if target[:1] != ":":
        return target
    prefix, _, name = target[1:].partition(":")
    is_language = prefix.strip().lower() in _LANGUAGES
    return name if name and is_language else target[1:].strip()


def _note_category(name: str, context: Context) -> None:
    name = " ".join(name.replace("_", " ").split())
    if name:
        context.categories[name[0].upper() + name[1:]] = None


def _is_broken(target: str, labels: tuple[str, ...]) -> bool:
    """Whether the brackets belong to two unclosed links with article text between them."""
    return "\n" in target or any("\n\n" in label or "\n=" in label for label in labels)


def _pictured_text(labels: tuple[str, ...]) -> str:
    """The letters that a picture in a line of text shows, if its caption gives them."""
    if not any(map(_LINE_HEIGHT.fullmatch, labels)) or "\n" in labels[-1]:
        return ""
    return "" if _PICTURE_OPTION.fullmatch(labels[-1]) else labels[-1].strip()


def _after_broken_file(labels: tuple[str, ...]) -> str:
    """Nothing; if the brackets close only paragraphs later, the text after the first line."""
    return "\n" + "|".join(labels).partition("\n")[2] if _is_broken("", labels) else GONE
