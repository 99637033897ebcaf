"""The entry of one page in an index."""

import re
from dataclasses import dataclass
from html import unescape

from animelm.corpus.dump.links import CategoryLinks, normalize_title
from animelm.corpus.dump.reader import Segment
from animelm.corpus.page_names import ARTICLES
from animelm.errors import UserError

CATEGORIES = 14
_HEAD = re.compile(
    rb"<page>\s*<title>([^<]*)</title>\s*<ns>(-?\d{1,9})</ns>\s*<id>(\d{1,18})</id>"
    rb'(?:\s*<redirect title="([^"]*)"\s*/>)?'
)


@dataclass(frozen=True)
class PageEntry:
    """A page of the dump.

    Attributes:
        offset: offset of its ``<page>``, in bytes of the XML.
        length: bytes up to the end of ``</page>``.
        page_id: number of the page.
        namespace: number of its namespace; 0 for articles.
        title: title, with the name of the namespace.
        redirect: title that it redirects to, or empty.
        categories: names of the categories that it is in according to its own text.
    """

    offset: int
    length: int
    page_id: int
    namespace: int
    title: str
    redirect: str
    categories: tuple[str, ...]

    @property
    def is_article(self) -> bool:
        """Whether it is an article and not a redirect."""
        return self.namespace == ARTICLES and not self.redirect

    @property
    def kind(self) -> str:
        """The field of ``PageCounts`` that counts it."""
        if self.is_article:
            return "articles"
        if self.redirect:
            return "redirects"
        return "categories" if self.namespace == CATEGORIES else "others"

    def line(self) -> str:
        """The entry as a line of an index."""
        numbers = (self.offset, self.length, self.page_id, self.namespace)
        fields = (*map(str, numbers), self.title, self.redirect, "|".join(self.categories))
        return "\t".join(fields) + "\n"

    @classmethod
    def from_line(cls, line: str, base: int) -> "PageEntry":
        """Reads a line of an index, whose offset counts from ``base``."""
        offset, length, page_id, namespace, title, redirect, names = line[:-1].split("\t")
        categories = tuple(names.split("|")) if names else ()
        return cls(
            base + int(offset),
            int(length),
            int(page_id),
            int(namespace),
            title,
            redirect,
            categories,
        )


@dataclass(frozen=True)
class PageCounts:
    """Number of pages by kind; ``others`` are those of other namespaces."""

    articles: int = 0
    redirects: int = 0
    categories: int = 0
    others: int = 0

    def __add__(self, other: "PageCounts") -> "PageCounts":
        return PageCounts(
            self.articles + other.articles,
            self.redirects + other.redirects,
            self.categories + other.categories,
            self.others + other.others,
        )


def read_entry(segment: Segment, offset: int, span: bytes, links: CategoryLinks) -> PageEntry:
    """Reads from a page what a selection needs, without parsing its XML.

    Args:
        segment: the segment that it is in, for messages.
        offset: offset of the page within the segment's XML.
        span: the bytes of the page, with its tags.
        links: finds its categories.

    Raises:
        UserError: the page does not begin with its title, namespace and number.
    """
    head = _HEAD.match(span)
    if head is None:
        raise UserError(
            f"{segment.path}: {segment.place(offset)}: a page that begins with "
            f"{span[:80]!r}; expected <title>, <ns> and <id>, as MediaWiki has exported since 2012"
        )
    title, redirect = (
        " ".join(unescape(part.decode("utf-8", "replace")).split()) if part else ""
        for part in (head[1], head[4])
    )
    # The last revision is the newest; a comment on an edit may name categories as well.
    text = span.find(b"<text", span.rfind(b"<revision>"))
    namespace = int(head[2])
    has_categories = namespace in (ARTICLES, CATEGORIES) and not redirect and text >= 0
    categories = links.of(span[text:], title, namespace) if has_categories else ()
    return PageEntry(
        offset, len(span), int(head[3]), namespace, title, normalize_title(redirect), categories
    )
