"""The name and arguments of a template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAMESPACE = re.compile(r"(?:template|テンプレート)\s*:\s*", re.IGNORECASE)
# With a tag before it, the equals sign belongs to an attribute, as in <span style=…>.
_NO_NAME = re.compile(r"[<\n\[]|://")


@dataclass(frozen=True)
class Call:
    """The use of a template in a page.

    Attributes:
        name: in lower case, with single spaces, without namespace.
        positional: arguments without a name, stripped.
        named: arguments with a name, stripped, in the order of the page; the last of equal names.
        begins_line: whether only spaces and other templates precede it on its line.
        alone: whether only spaces and other templates share its line.
    """

    name: str
    positional: tuple[str, ...]
    named: dict[str, str]
    begins_line: bool = False
    alone: bool = False

    def text(self, *names: str) -> str:
        """The first of the arguments named that is not empty; numbers count from 1."""
        for name in names:
            if value := self.named.get(name):
                return value
            index = int(name) if name.isdecimal() else 0
            if 0 < index <= len(self.positional) and (value := self.positional[index - 1]):
                return value
        return ""


def read_call(arguments: Sequence[str], begins_line: bool, alone: bool) -> Call:
    """Reads the raw arguments of a template; the first is its name."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for argument in arguments[1:]:
        name, sign, value = argument.partition("=")
        if sign and not _NO_NAME.search(name.strip()):
            named[name.strip()] = value.strip()
        else:
            positional.append(argument.strip())
    return Call(template_name(arguments[0]), tuple(positional), named, begins_line, alone)


def template_name(name: str) -> str:
    """The name of a template as ``template_rules`` has it."""
    name = " ".join(name.replace("_", " ").split())
    return _NAMESPACE.sub("", name, count=1).removeprefix(":").lower()
