"""Finds the config files that are named on the command line."""

from pathlib import Path
from typing import Any

from animelm.errors import UserError
from animelm.reading import MIB, parse_yaml, read_utf8
from animelm.shipped import CONFIGS

_DEEPEST, _MOST_LAYERS = 16, 64
_OPTIONS = ("--config", "-c")


def find_configs(arguments: list[str]) -> list[str]:
    """Replaces the name in each ``--config NAME`` by the path of that file.

    A name that is no file in the working directory is looked up in its folder ``configs/``, then in
    the project's. Several configs are layered: a later one overrides the settings that it names. A
    config that includes others with the key ``include`` is layered on these.

    Raises:
        UserError: there is no such file, it is not valid YAML, or it includes itself.
    """
    found: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        option, equals, name = argument.partition("=")
        if option not in _OPTIONS or not (equals or rest):
            found.append(argument)
        elif equals:
            found += [f"{option}={path}" for path in _layers(name, ())]
        else:
            for path in _layers(rest.pop(0), ()):
                found += [option, path]
    return found


def _layers(name: str, including: tuple[str, ...]) -> list[str]:
    """The files that a config includes, then its own."""
    path = _find(name)
    if path in including:
        raise UserError(f"{path}: includes itself, by way of {', '.join(including)}")
    if len(including) >= _DEEPEST:
        raise UserError(f"{path}: is included by a config of a config …, {_DEEPEST} deep")
    include = _read_yaml(Path(path)).get("include") or []
    names = [include] if isinstance(include, str) else include
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: include is {include!r}; expected a config's name, or a list")
    layers: list[str] = []
    for each in names:
        layers += _layers(each, (*including, path))
        if len(layers) > _MOST_LAYERS:
            raise UserError(f"{path}: includes more than {_MOST_LAYERS} configs")
    return [*layers, path]


def _find(name: str) -> str:
    folders = (Path(), Path("configs"), CONFIGS)
    for folder in folders:
        if (folder / name).is_file():
            return str(folder / name)
    known = {
        path.relative_to(folder).as_posix()
        for folder in folders[1:]
        for path in folder.rglob("*.yaml")
    }
    raise UserError(
        f"--config {name}: no such file, here or in configs/; there are {', '.join(sorted(known))}"
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    """Reads a config here, because the parser's own message would not name the file."""
    content = parse_yaml(read_utf8(path, MIB), str(path))
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected settings as `key: value` lines")
    return content
