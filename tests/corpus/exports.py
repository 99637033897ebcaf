"""MediaWiki exports of a few pages, as a wiki writes them."""

import bz2
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="ja">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <base>https://ja.wikipedia.org/wiki/%E3%83%A1%E3%82%A4%E3%83%B3</base>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"
# Long enough for the cleaning, and Japanese.
BODY = "これは試験のための記事であり、どの作品についても何も述べていない。" * 6


@dataclass(frozen=True)
class Spec:
    """A page to be exported; its number is its place in the list where none is given."""

    title: str
    text: str = BODY
    namespace: int = 0
    redirect: str = ""
    page_id: int | None = None
    comment: str = ""


def article(title: str, *categories: str, text: str = "") -> Spec:
    links = "\n".join(f"[[Category:{name}]]" for name in categories)
    return Spec(title, f"'''{title}'''は記事の題である。{text or title * 20 + BODY}\n{links}")


def category(name: str, *parents: str) -> Spec:
    return Spec(f"Category:{name}", "\n".join(f"[[Category:{each}]]" for each in parents), 14)


def page_xml(spec: Spec, number: int) -> str:
    redirect = f'    <redirect title="{escape(spec.redirect)}" />\n' if spec.redirect else ""
    return f"""  <page>
    <title>{escape(spec.title)}</title>
    <ns>{spec.namespace}</ns>
    <id>{spec.page_id or number}</id>
{redirect}    <revision>
      <id>{1000 + number}</id>
      <comment>{escape(spec.comment)}</comment>
      <text bytes="1" xml:space="preserve">{escape(spec.text)}</text>
    </revision>
  </page>
"""


def export(pages: Sequence[Spec]) -> bytes:
    middle = "".join(page_xml(spec, number) for number, spec in enumerate(pages, start=1))
    return (HEAD + middle + TAIL).encode()


def multistream(pages: Sequence[Spec], pages_per_stream: int = 2) -> bytes:
    """Head, pages and tail in streams of their own, as Wikimedia's multistream dumps are."""
    xml = [page_xml(spec, number) for number, spec in enumerate(pages, start=1)]
    groups = [xml[n : n + pages_per_stream] for n in range(0, len(xml), pages_per_stream)]
    parts = [HEAD, *("".join(group) for group in groups), TAIL]
    return b"".join(bz2.compress(part.encode()) for part in parts)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
