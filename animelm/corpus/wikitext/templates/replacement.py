"""Replaces one template; the docstring of ``animelm.corpus.wikitext`` lists the rules."""

import re
from collections.abc import Iterable, Sequence

from animelm.corpus.wikitext.context import Context
from animelm.corpus.wikitext.strip_markers import GONE
from animelm.corpus.wikitext.templates.calls import Call, read_call
from animelm.corpus.wikitext.templates.dates import AGES, age
from animelm.corpus.wikitext.templates.infobox import infobox_table, is_look
from animelm.corpus.wikitext.templates.parser_functions import call_function
from animelm.corpus.wikitext.templates.template_functions import COMPUTED
from animelm.corpus.wikitext.templates.template_rules import (
    CONTAINERS,
    DATES,
    JOINED,
    PATTERNS,
    SIGNS,
    country_name,
    is_dropped,
    is_infobox,
    language_label,
)

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
# Brackets and signs around a missing argument.
_HOLLOW = re.compile(r" ?[(（][, ]*[)）]|, *(?=[)）])|(?<=[(（]), *|-+$|[年月日]+(?=[年月日])")
_LANGUAGE = re.compile(r"lang-([a-z]{2,3}(?:-(?!short)[a-z]+)?)(-short)?$")
_SENTENCE = re.compile(r"[。！？]|[a-z]{2}[.!?](?: |$)")
# An identifier from which a template builds an address: "gov/123", "people_of_Rome".
_IDENTIFIER = re.compile(r"(?=[!-~]*[\d_/])[\w.:/-]{3,}", re.ASCII)
# The number of columns of a frame, or their width.
_WIDTH = re.compile(r"[\d.]+ *(?:em|px|%)?", re.ASCII)
_FIELDS_OF_A_BOX = 3


def render_template(
    arguments: Sequence[str], begins_line: bool, alone: bool, context: Context
) -> str:
    """The wikitext that replaces a template.

    Args:
        arguments: name and arguments as written, with inner templates replaced.
        begins_line: whether only other templates precede it on its line.
        alone: whether only other templates share its line.
        context: context of the page.
    """
    value = call_function(arguments, context)
    if value is None:
        call = read_call(arguments, begins_line, alone)
        value = _known(call, context)
        if value is None:
            value = _unknown(call, context)
    if value:
        return value
    return "" if alone else GONE


def _known(call: Call, context: Context) -> str | None:
    """The text of a template that is known by its name; None for another."""
    name = call.name
    if name in SIGNS:
        return SIGNS[name]
    if name in PATTERNS:
        return _fill(PATTERNS[name], call)
    if name in JOINED:
        return JOINED[name].join(filter(None, call.positional))
    if name in DATES:
        return "-".join(part.zfill(2) for part in call.positional[:3] if part)
    if name in CONTAINERS:
        texts = (text for text in call.positional if not _WIDTH.fullmatch(text))
        return "\n\n".join(filter(None, (*texts, *_contents(call.named.values()))))
    if name in COMPUTED:
        return COMPUTED[name](call)
    if name in AGES:
        return age(call, context.today)
    if match := _LANGUAGE.match(name):
        text = call.text("1")
        language = language_label(match[1], context.language, is_short=bool(match[2]))
        return f"{language}: {text}" if language and text else text
    if name.startswith("ipa-"):
        return call.text("1")
    if is_dropped(name):
        return ""
    if not call.alone and (country := country_name(name, context.language)):
        return country
    if is_infobox(name):
        return infobox_table(call, context)
    return None


def _unknown(call: Call, context: Context) -> str:
    if call.begins_line and len(call.named) >= _FIELDS_OF_A_BOX:
        return infobox_table(call, context)
    if texts := _contents((*call.positional, *call.named.values())):
        return "\n\n".join(texts) if call.alone else " ".join(texts)
    if len(call.positional) != 1 or call.alone:
        return ""
    text = call.positional[0]
    return "" if is_look("", text) or _IDENTIFIER.fullmatch(text) else text


def _contents(arguments: Iterable[str]) -> list[str]:
    """The arguments with several lines or a sentence."""
    return [text for text in arguments if "\n" in text or _SENTENCE.search(text)]


def _fill(pattern: str, call: Call) -> str:
    """The pattern with the arguments filled in; ``{1}|text`` gives the text if there is none."""
    pattern, _, fallback = pattern.partition("}|") if "}|" in pattern else (pattern, "", "")
    if fallback:
        return call.text("1") or fallback
    if pattern == "{1}":
        return call.text("1")
    given = False

    def argument(match: re.Match[str]) -> str:
        nonlocal given
        value = call.text(*match[1].split("|"))
        given = given or bool(value)
        return value

    text = _PLACEHOLDER.sub(argument, pattern)
    return _HOLLOW.sub("", text).strip() if given else ""
