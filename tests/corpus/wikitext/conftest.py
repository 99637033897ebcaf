import bz2
from pathlib import Path
from xml.etree import ElementTree

import pytest

from animelm.corpus.wikitext import render_page

DUMPS = Path(__file__).resolve().parents[4] / "shared" / "data" / "dumps"


@pytest.fixture
def body():
    """Renders wikitext and returns the Markdown below the title."""

    def render(wikitext, title="題"):
        heading, _, text = render_page(title, wikitext).markdown.partition("\n")
        assert heading == f"# {title}"
        return text.strip()

    return render


@pytest.fixture(scope="session")
def dump_pages():
    """Title and wikitext of every page of the real dumps."""
    paths = sorted(DUMPS.glob("*.xml.bz2"))
    if not paths:
        pytest.skip(f"no dumps in {DUMPS.name}: real pages are kept beside the project")
    return [page[:2] for path in paths for page in _pages(path)]


@pytest.fixture(scope="session")
def dump_articles(dump_pages):
    """Title and wikitext of the articles among them, without redirects."""
    paths = sorted(DUMPS.glob("*.xml.bz2"))
    return [
        (title, text) for path in paths for title, text, is_article in _pages(path) if is_article
    ]


def _pages(path):
    with bz2.open(path) as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag.endswith("}page"):
                fields = {child.tag.rpartition("}")[2]: child.text for child in element.iter()}
                is_article = fields["ns"] == "0" and "redirect" not in fields
                yield fields["title"], fields.get("text") or "", is_article
                element.clear()
