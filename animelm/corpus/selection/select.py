"""Selects articles by category tree, by title, by the links of a page, and by combinations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from animelm.corpus.dump.index import DumpIndex
from animelm.corpus.dump.links import linked_titles, normalize_title
from animelm.corpus.dump.page_entry import PageEntry
from animelm.corpus.page_names import ARTICLES
from animelm.corpus.selection.category_tree import CategoryTree
from animelm.errors import UserError

_SUGGESTIONS = 5


@dataclass(frozen=True)
class Selection:
    """Which articles are selected; without any condition, all of them.

    Args:
        category: Selects articles in this category or a category below it. A list selects articles
            in any of its categories.
        depth: Number of levels of subcategories to include; 0 for the category alone, null for all.
        title_pattern: Selects articles in whose title this regular expression is found.
        linked_from: Selects articles that the page with this title links to. A list selects
            articles that any of its pages links to.
        match: Whether an article must meet all of the given conditions, or any of them.
        except_category: Leaves out articles in this category or a category below it, down to the
            same depth.
        except_title: Leaves out articles in whose title this regular expression is found.
    """

    category: str | list[str] | None = None
    depth: int | None = 3
    title_pattern: str | None = None
    linked_from: str | list[str] | None = None
    match: Literal["all", "any"] = "all"
    except_category: str | list[str] | None = None
    except_title: str | None = None

    def __post_init__(self) -> None:
        if self.depth is not None and self.depth < 0:
            raise UserError(f"--depth must be 0 or more, or null for all levels; not {self.depth}")
        for option in ("title_pattern", "except_title"):
            pattern = getattr(self, option)
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise UserError(
                    f"--{option} {pattern!r}: not a regular expression: {error}"
                ) from error


@dataclass(frozen=True)
class SelectionResult:
    """Whether a page is selected, and why.

    Attributes:
        selected: whether it is.
        reasons: the conditions that it meets; if it is not selected, those that it fails.
    """

    selected: bool
    reasons: tuple[str, ...]


class Selector:
    """Selects pages of one or more dumps.

    Args:
        selection: the conditions.
        indexes: indexes of all dump files; a category tree may extend over several files.

    Raises:
        UserError: there is no page with a title of ``linked_from``.
    """

    def __init__(self, selection: Selection, indexes: Sequence[DumpIndex]) -> None:
        self.selection = selection
        self._indexes = indexes
        self._tree = self._make_tree(_as_list(selection.category))
        self._excluded = self._make_tree(_as_list(selection.except_category))
        self._title = re.compile(selection.title_pattern) if selection.title_pattern else None
        self._excluded_title = (
            re.compile(selection.except_title) if selection.except_title else None
        )
        self._linked = self._resolve_links(_as_list(selection.linked_from))

    def check(self, page: PageEntry) -> SelectionResult:
        """Checks one page against the conditions."""
        if page.redirect:
            return SelectionResult(False, (f"it redirects to {page.redirect}",))
        if page.namespace != ARTICLES:
            return SelectionResult(False, (f"it is in namespace {page.namespace}, not an article",))
        if excluded := self._excluded_by(page):
            return SelectionResult(False, (excluded,))
        conditions = self._conditions(page)
        if not conditions:
            return SelectionResult(True, ("every article is selected",))
        met = tuple(text for is_met, text in conditions if is_met)
        failed = tuple(text for is_met, text in conditions if not is_met)
        selected = bool(met) if self.selection.match == "any" else not failed
        return SelectionResult(selected, met if selected else failed)

    def explain(self, title: str) -> str:
        """Explains in a few lines why a page is selected or not.

        Args:
            title: the title as on the page, or as in its address.
        """
        wanted = normalize_title(title)
        similar: list[str] = []
        for index in self._indexes:
            for page in index.pages():
                if page.title == wanted:
                    return self._explain(page, index)
                if len(similar) < _SUGGESTIONS and wanted in page.title:
                    similar.append(page.title)
        hint = f"; similar titles: {', '.join(similar)}" if similar else ""
        return f"{wanted}: not selected: no page of the dump has this title{hint}"

    def _explain(self, page: PageEntry, index: DumpIndex) -> str:
        result = self.check(page)
        lines = [f"{page.title}: {'selected' if result.selected else 'not selected'}"]
        lines += [f"  {reason}" for reason in result.reasons]
        if page.categories:
            lines.append(f"  categories: {', '.join(page.categories)}")
        lines.append(f"  page {page.page_id}, {index.dump.path.name}, {index.place(page.offset)}")
        return "\n".join(lines)

    def _conditions(self, page: PageEntry) -> list[tuple[bool, str]]:
        conditions = []
        if self._tree is not None:
            name = self._tree.nearest(page.categories)
            conditions.append(
                (True, f"category {self._tree.path(name)}")
                if name is not None
                else (False, f"none of its categories is {self._describe_tree()}")
            )
        if self._title is not None:
            is_found = bool(self._title.search(page.title))
            verb = "matches" if is_found else "does not match"
            conditions.append((is_found, f"title {verb} {self._title.pattern}"))
        if self._linked is not None:
            origin = self._linked.get(page.title)
            conditions.append(
                (True, f"linked from {origin}")
                if origin
                else (False, f"not linked from {', '.join(_as_list(self.selection.linked_from))}")
            )
        return conditions

    def _describe_tree(self) -> str:
        names = " or ".join(_as_list(self.selection.category))
        depth = self.selection.depth
        count = len(self._tree.parents) if self._tree else 0
        if count == 1:
            return names
        levels = "all levels" if depth is None else f"{depth} levels"
        return f"in the tree of {names} ({count:,} categories on {levels})"

    def _excluded_by(self, page: PageEntry) -> str:
        if self._excluded is not None:
            name = self._excluded.nearest(page.categories)
            if name is not None:
                return f"left out by category {self._excluded.path(name)}"
        if self._excluded_title is not None and self._excluded_title.search(page.title):
            return f"left out because the title matches {self._excluded_title.pattern}"
        return ""

    def _make_tree(self, names: list[str]) -> CategoryTree | None:
        if not names:
            return None
        roots = [normalize_title(self._without_namespace(name)) for name in names]
        return CategoryTree(roots, self.selection.depth, self._indexes)

    def _without_namespace(self, name: str) -> str:
        prefix, colon, rest = name.partition(":")
        own = {index.site.namespaces.get(14, "") for index in self._indexes}
        return (
            rest if colon and prefix.casefold() in {"category", *map(str.casefold, own)} else name
        )

    def _resolve_links(self, titles: list[str]) -> dict[str, str] | None:
        """The title of each linked page, with the title of the page that links to it."""
        if not titles:
            return None
        linked: dict[str, str] = {}
        for title in titles:
            for target in self._links_of(title):
                linked.setdefault(target, title)
        for index in self._indexes:
            for page in index.pages():
                if page.redirect and page.title in linked:
                    linked.setdefault(page.redirect, linked[page.title])
        return linked

    def _links_of(self, title: str) -> tuple[str, ...]:
        wanted = normalize_title(title)
        for _ in range(2):  # the page, or a redirect to it
            for index in self._indexes:
                page = next((page for page in index.pages() if page.title == wanted), None)
                if page is None:
                    continue
                if not page.redirect:
                    [span] = index.seek_table.read([(page.offset, page.length)])
                    return linked_titles(span[span.find(b"<text", span.rfind(b"<revision>")) :])
                wanted = page.redirect
                break
        raise UserError(f"--linked_from {title}: no page of the dump has this title")


def _as_list(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value
