from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.dump.page_entry import PageEntry

# What a title cannot hold on any wiki.
NAMES = st.text(st.characters(exclude_characters="|\t\n\r", exclude_categories=["Cs"]), min_size=1)


@given(NAMES, NAMES, st.lists(NAMES).map(tuple), st.integers(0), st.integers(0, 10**6))
def test_an_entry_comes_back_from_its_line(
    title: str, redirect: str, categories: tuple[str, ...], offset: int, base: int
):
    entry = PageEntry(offset, 7, 3, 14, title, redirect, categories)
    again = PageEntry.from_line(entry.line(), base)
    assert again.offset == base + offset
    assert (again.title, again.redirect, again.categories) == (title, redirect, categories)


def test_each_page_is_of_one_kind():
    kinds = [
        PageEntry(0, 0, 1, namespace, "題", redirect, ()).kind
        for namespace, redirect in ((0, ""), (0, "他"), (14, ""), (14, "他"), (10, ""))
    ]
    assert kinds == ["articles", "redirects", "categories", "redirects", "others"]
