"""The report's words in the languages that it can be written in."""

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

Language = Literal["ja", "en"]


class Texts:
    """The texts of one language, by keys with dots.

    Args:
        values: the content of a file of texts.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with values in its places.

        Raises:
            KeyError: there is no such text.
        """
        text = self._find(key)
        return text.format(**values) if values else text

    def name(self, kind: str, name: str) -> str:
        """The title of a model, set, direction or relation; its own name where it has none."""
        found = self._values[kind].get(name)
        return str(found) if found is not None else name

    def has(self, kind: str, name: str) -> bool:
        """Whether there is a text of a kind on a model, set, direction or relation."""
        return name in self._values[kind]

    def count(self, kind: str, number: int) -> str:
        """A number with what it counts, in the singular or plural."""
        forms = self.forms(kind)
        return forms[0 if number == 1 else -1].format(n=f"{number:,}")

    def forms(self, kind: str) -> list[str]:
        """The singular of what is counted and, where it differs, the plural."""
        return list(self._values["counts"][kind])

    def keys(self) -> set[str]:
        """Every key."""
        return set(_flat(self._values, ""))

    def _find(self, key: str) -> str:
        found: Any = self._values
        for part in key.split("."):
            found = found[part]
        return str(found)


def _flat(values: dict[str, Any], prefix: str) -> list[str]:
    return [
        key
        for name, value in values.items()
        for key in (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
        )
    ]


@cache
def load_texts(language: Language) -> Texts:
    """The texts of a language."""
    source = files("animelm.report.page") / f"texts.{language}.yaml"
    return Texts(yaml.safe_load(source.read_text(encoding="utf-8")))
