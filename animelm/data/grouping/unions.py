"""Sets that are joined until no member belongs to two."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Unions(Generic[T]):
    """Joins members into sets; each set is known by the member that was seen first."""

    def __init__(self) -> None:
        self._parents: dict[T, T] = {}
        self._order: dict[T, int] = {}

    def of(self, member: T) -> T:
        """The first member of a member's set; a new member is a set of its own."""
        if member not in self._parents:
            self._parents[member] = member
            self._order[member] = len(self._order)
        root = member
        while self._parents[root] != root:
            self._parents[root] = self._parents[self._parents[root]]
            root = self._parents[root]
        return root

    def join(self, one: T, other: T) -> None:
        """Makes one set of those of two members."""
        first, second = self.of(one), self.of(other)
        if self._order[second] < self._order[first]:
            first, second = second, first
        self._parents[second] = first
