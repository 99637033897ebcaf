"""Checks of what the report reads: files that fit and compare wrote, and others may have edited."""

from collections.abc import Mapping
from typing import Any

from animelm.errors import UserError

_LARGEST = 1 << 20  # layers times experts


def require_kinds(where: str, values: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Checks the values of some keys; a key that is missing or null is none.

    Args:
        where: file, and place in it, for messages.
        values: the object.
        kinds: expected type by key.

    Raises:
        UserError: a value has another type.
    """
    for name, kind in kinds.items():
        value = values.get(name)
        if value is not None and not isinstance(value, kind):
            raise UserError(
                f"{where}: {name} is {value!r:.80}; expected what animelm wrote there, "
                f"{'an object' if kind is dict else f'a {kind.__name__}'}"
            )


def is_matrix(value: Any) -> bool:
    """Whether a value is a list of lists of numbers, of equal lengths of 1 or more."""
    if not isinstance(value, list) or not all(isinstance(row, list) and row for row in value):
        return False
    if not value or len(value) * len(value[0]) > _LARGEST:
        return False
    numbers = all(type(cell) in (int, float) for row in value for cell in row)
    return numbers and len({len(row) for row in value}) == 1


def part(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The object below some keys; empty where it is missing or something else."""
    found: Any = values
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}
