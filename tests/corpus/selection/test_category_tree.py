from collections.abc import Callable

from exports import category, export
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.dump.page_entry import PageEntry
from animelm.corpus.selection.category_tree import CategoryTree


class Pages:
    """An index of nothing but pages of categories."""

    def __init__(self, parents: dict[int, set[int]]) -> None:
        self._parents = parents

    def category_pages(self):
        for name, above in self._parents.items():
            names = tuple(f"C{number}" for number in sorted(above))
            yield PageEntry(0, 0, 1, 14, f"Category:C{name}", "", names)


@given(
    st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=4), max_size=10),
    st.integers(0, 5),
)
def test_a_tree_holds_what_can_be_reached_in_so_many_steps(parents: dict, depth: int):
    reached = {0}
    for _ in range(depth):
        reached |= {child for child, above in parents.items() if above & reached}
    tree = CategoryTree(["C0"], depth, [Pages(parents)])
    assert set(tree.parents) == {f"C{number}" for number in reached}
    for name in tree.parents:
        way = tree.path(name).split(" > ")
        assert way[0] == "C0" and way[-1] == name and len(way) <= depth + 1


def test_of_a_pages_categories_the_nearest_to_the_root_is_its_reason(index: Callable):
    made = index(export([category("子", "親"), category("孫", "子")]))
    tree = CategoryTree(["親"], None, [made])
    assert tree.nearest(["他", "孫", "子"]) == "子"
    assert tree.nearest(["他"]) is None
    assert tree.path("孫") == "親 > 子 > 孫"
