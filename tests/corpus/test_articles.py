import unicodedata

import frontmatter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.articles import Provenance, article_text, file_name, page_address
from animelm.corpus.dump.pages import SiteInfo

RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), "."}


@given(st.integers(1, 10**9), st.text(max_size=400))
def test_a_file_name_is_safe_on_every_file_system(page_id: int, title: str):
    name = file_name(page_id, title)
    assert not set(name) & set('<>:"/\\|?*\0\n\r\t')
    assert len(name.encode("utf-8")) <= 143
    assert name.split(".")[0].lower() not in RESERVED
    assert name[0] not in " .-" and name.endswith(".md") and not name[:-3].endswith((" ", "."))
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


@given(st.lists(st.text(max_size=60), min_size=2, max_size=6))
def test_two_pages_never_share_a_name_whatever_their_case_or_accents(titles: list[str]):
    names = [file_name(number, title) for number, title in enumerate(titles, start=1)]
    folded = {unicodedata.normalize("NFKC", name).casefold() for name in names}
    assert len(folded) == len(names)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("銀魂", "7-銀魂.md"),
        ("Fate/Zero", "7-Fate_Zero.md"),
        ("..", "7-.md"),
        ("../../etc/passwd", "7-.._.._etc_passwd.md"),
        ("a\0b", "7-a_b.md"),
        ("🎌🎎", "7-🎌🎎.md"),
        ("NUL", "7-NUL.md"),
        ("あ" * 300, f"7-{'あ' * 37}.md"),
    ],
)
def test_hard_titles(title: str, name: str):
    assert file_name(7, title) == name


@pytest.mark.parametrize("title", ["on", "1.5", "null", "- a: [b", "題: 副題", "'", "🎌", "a\tb"])
def test_front_matter_comes_back_as_it_was(title: str):
    provenance = Provenance(title, 7, 9, ("類", "no"), "https://example.org/wiki/x", "CC BY-SA 4.0")
    read = frontmatter.loads(article_text(provenance, "# 題\n\n本文\n"))
    assert read.metadata == {
        "title": title,
        "page_id": 7,
        "revision": 9,
        "categories": ["類", "no"],
        "source": "https://example.org/wiki/x",
        "license": "CC BY-SA 4.0",
    }
    assert read.content == "# 題\n\n本文"


def test_a_page_has_the_address_that_its_wiki_gives_it():
    site = SiteInfo("https://ja.wikipedia.org/wiki/%E3%83%A1", "ja", {})
    assert page_address(site, "A B?") == "https://ja.wikipedia.org/wiki/A_B%3F"
    assert page_address(SiteInfo("", "", {}), "A") == ""
