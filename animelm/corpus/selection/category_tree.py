"""The category tree, from the category pages of the dump."""

from collections.abc import Iterable, Sequence

from animelm.corpus.dump.index import DumpIndex
from animelm.corpus.dump.links import normalize_title


class CategoryTree:
    """The categories below some roots, found level by level, so that a cycle does no harm.

    Args:
        roots: names of categories.
        depth: number of levels below them; None for all.
        indexes: indexes of the dumps to search.

    Attributes:
        parents: each category of the tree with its parent; None for a root.
    """

    def __init__(
        self, roots: Iterable[str], depth: int | None, indexes: Sequence[DumpIndex]
    ) -> None:
        self.parents: dict[str, str | None] = dict.fromkeys(roots)
        self._level = dict.fromkeys(self.parents, 0)
        level = set(self.parents)
        reached = 0
        while level and (depth is None or reached < depth):
            reached += 1
            below: dict[str, str] = {}
            for index in indexes:
                for page in index.category_pages():
                    name = _bare_name(page.title)
                    above = next((name for name in page.categories if name in level), None)
                    if above is not None and name not in self.parents:
                        below.setdefault(name, above)
            self.parents |= below
            self._level |= dict.fromkeys(below, reached)
            level = set(below)

    def nearest(self, categories: Iterable[str]) -> str | None:
        """The category nearest to a root, the first of several; None if none is in the tree."""
        inside = [name for name in categories if name in self.parents]
        return min(inside, key=self._level.__getitem__) if inside else None

    def path(self, category: str) -> str:
        """The path from a root to a category, such as ``アニメ > アニメ作品``."""
        way = [category]
        while (above := self.parents[way[-1]]) is not None:
            way.append(above)
        return " > ".join(reversed(way))


def _bare_name(title: str) -> str:
    return normalize_title(title.partition(":")[2])
