"""The article files of a corpus: their names, and their text with front matter."""

import re
from dataclasses import dataclass
from urllib.parse import quote

import yaml

from animelm.corpus.dump.pages import SiteInfo

# Characters that some file system or shell does not take: control characters, marks of writing
# direction, and those that Windows reserves.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    r'<>:"/\\|?*]+'
)
# With number and suffix, well below the 143 bytes that encrypted home folders allow.
_LONGEST_TITLE_BYTES = 112


@dataclass(frozen=True)
class Provenance:
    """Where an article comes from.

    Attributes:
        title: title of the page.
        page_id: number of the page.
        revision: number of the revision.
        categories: names of its categories.
        source: address of the page.
        license: license of its text.
    """

    title: str
    page_id: int
    revision: int
    categories: tuple[str, ...]
    source: str
    license: str


def file_name(page_id: int, title: str) -> str:
    """A file name that is unique and valid on every file system.

    It begins with the number of the page, which keeps names unique on file systems that ignore case
    or the form of accents, and keeps them from being a dot or a name that Windows reserves. The
    title follows, shortened, with ``_`` for unsafe characters.
    """
    safe = _UNSAFE.sub("_", title)
    shortened = safe.encode("utf-8")[:_LONGEST_TITLE_BYTES].decode("utf-8", "ignore")
    return f"{page_id}-{shortened.rstrip(' .')}.md"


def article_text(provenance: Provenance, markdown: str) -> str:
    """The content of a file: YAML front matter, then the Markdown."""
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
    """The address of a page on the wiki of the dump; empty if the dump does not name the wiki."""
    if not site.base:
        return ""
    # The base is the address of the main page; all pages share the part before its name.
    return site.base.rpartition("/")[0] + "/" + quote(title.replace(" ", "_"), safe="/:(),!'*;@")
