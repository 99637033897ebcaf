"""The files of a corpus: their names, and their text with front matter."""

import re
from dataclasses import dataclass
from urllib.parse import quote

import yaml

from animelm.corpus.dump.pages import SiteInfo

# What some file system refuses or a shell trips over: controls, marks that turn the direction of
# writing, and the signs that Windows reserves.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    r'<>:"/\\|?*]+'
)
# With number and suffix, well below the 143 bytes that an encrypted home folder allows.
_LONGEST_TITLE_BYTES = 112


@dataclass(frozen=True)
class Provenance:
    """Where an article comes from.

    Attributes:
        title: of the page.
        page_id: number of the page.
        revision: number of the revision.
        categories: names of its categories.
        source: address of the page.
        license: under which its text may be used.
    """

    title: str
    page_id: int
    revision: int
    categories: tuple[str, ...]
    source: str
    license: str


def file_name(page_id: int, title: str) -> str:
    """A name that every file system takes, and that no other page has.

    It begins with the number of the page. That tells pages apart where upper and lower case, or two
    forms of an accent, are one, and keeps it from being a dot or one of the names that Windows
    reserves. Of the title follows as much as fits, with ``_`` for what is not safe.
    """
    safe = _UNSAFE.sub("_", title)
    shortened = safe.encode("utf-8")[:_LONGEST_TITLE_BYTES].decode("utf-8", "ignore")
    return f"{page_id}-{shortened.rstrip(' .')}.md"


def article_text(provenance: Provenance, markdown: str) -> str:
    """A whole file: YAML front matter, then the Markdown."""
    front = {
        "title": provenance.title,
        "page_id": provenance.page_id,
        "revision": provenance.revision,
        "categories": list(provenance.categories),
        "source": provenance.source,
        "license": provenance.license,
    }
    header = yaml.safe_dump(front, allow_unicode=True, sort_keys=False, width=1_000_000)
    return f"---\n{header}---\n\n{markdown.strip()}\n"


def page_address(site: SiteInfo, title: str) -> str:
    """The address of a page, on the wiki that the dump is of; empty where the dump names none."""
    if not site.base:
        return ""
    # The base is the address of the main page; what stands before its name is every page's.
    return site.base.rpartition("/")[0] + "/" + quote(title.replace(" ", "_"), safe="/:(),!'*;@")
