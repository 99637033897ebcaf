"""Titles, categories and links of a page, found in its bytes without parsing it."""

import re
from collections.abc import Iterable
from html import unescape

from animelm.corpus.page_names import ARTICLES, page_names

# Text in a dump is escaped XML, so a comment begins with &lt;!--.
_UNSEEN = re.compile(
    rb"&lt;!--.*?(?:--&gt;|\Z)|&lt;(nowiki|pre|syntaxhighlight)\b[^&]*?&gt;.*?&lt;/\1\s*&gt;",
    re.S | re.I,
)
_VARIABLE = re.compile(r"\{\{\s*([A-Z]+)\s*\}\}")
_LINK = re.compile(rb"\[\[([^\[\]{}|\n]+)")
# Left-to-right and right-to-left marks are invisible, and come with pasted titles.
_INVISIBLE = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e"))


def normalize_title(title: str) -> str:
    """A title as MediaWiki stores it: spaces for underscores, its first letter a capital.

    Applied to a title with a namespace, it changes the first letter of the namespace only.
    """
    title = " ".join(title.translate(_INVISIBLE).replace("_", " ").split())
    capital = title[:1].upper()
    return capital + title[1:] if len(capital) == 1 else title


class CategoryLinks:
    """Finds the categories that a page is in according to its own text.

    ``[[:Category:X]]``, which only links to a category, is ignored, as are comments and
    ``<nowiki>``. Categories that a template adds are not found.

    Args:
        names: names of the category namespace, such as Category and カテゴリ.
    """

    def __init__(self, names: Iterable[str]) -> None:
        spellings = {
            spelling.replace(" ", "_")
            for name in names
            for spelling in (name, name.lower(), name.upper(), name[:1].lower() + name[1:])
        }
        # In bytes, IGNORECASE covers ASCII only; the spellings cover the rest.
        either = b"|".join(
            re.escape(name.encode()).replace(b"_", rb"[ _]+") for name in sorted(spellings)
        )
        self._pattern = re.compile(
            rb"\[\[[ _]*(?:" + either + rb")[ _]*:([^\]|\n\[]+)", re.IGNORECASE
        )

    def of(self, text: bytes, title: str, namespace: int = ARTICLES) -> tuple[str, ...]:
        """Names of categories, each once, in the order of the text.

        Args:
            text: wikitext as escaped in the XML.
            title: the page's title, for ``{{PAGENAME}}`` and the like.
            namespace: number of the page's namespace.
        """
        if not self._pattern.search(text):
            return ()
        own = page_names(title, namespace)
        names: dict[str, None] = {}
        for name in self._pattern.findall(_seen(text)):
            decoded = _decode(name)
            if "{{" in decoded:
                decoded = _VARIABLE.sub(lambda word: own.get(word[1], word[0]), decoded)
            if normal := normalize_title(decoded):
                names[normal] = None
        return tuple(names)


def linked_titles(text: bytes) -> tuple[str, ...]:
    """Titles of the pages that a page links to, each once, without sections.

    Args:
        text: wikitext as escaped in the XML.
    """
    targets = (
        _decode(target).partition("#")[0].lstrip(" :") for target in _LINK.findall(_seen(text))
    )
    return tuple(dict.fromkeys(normal for target in targets if (normal := normalize_title(target))))


def _seen(text: bytes) -> bytes:
    return _UNSEEN.sub(b"", text) if b"&lt;" in text else text


def _decode(text: bytes) -> str:
    """Undoes the escapes of the XML, then those of wikitext."""
    decoded = text.decode("utf-8", "replace")
    return unescape(unescape(decoded)) if "&" in decoded else decoded
