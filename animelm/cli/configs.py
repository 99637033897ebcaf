"""Where a config named on the command line is found."""

from pathlib import Path

import yaml

import animelm
from animelm.errors import UserError

_BESIDE_PACKAGE = Path(animelm.__file__).parent.parent / "configs"
_OPTIONS = ("--config", "-c")


def find_configs(arguments: list[str]) -> list[str]:
    """Replaces each ``--config NAME`` that is no file here by the file of that name in configs/.

    Looked up in ``configs/`` of the working directory, then beside the package. Several configs are
    layered by the parser: a later one overrides what it names.

    Raises:
        UserError: there is no such file, or it is not valid YAML.
    """
    found, expects_name = [], False
    for argument in arguments:
        option, equals, name = argument.partition("=")
        if expects_name:
            argument = _find(argument)
        elif equals and option in _OPTIONS:
            argument = f"{option}={_find(name)}"
        expects_name = not expects_name and argument in _OPTIONS
        found.append(argument)
    return found


def _find(name: str) -> str:
    folders = (Path(), Path("configs"), _BESIDE_PACKAGE)
    for folder in folders:
        if (folder / name).is_file():
            _check_yaml(folder / name)
            return str(folder / name)
    known = {
        path.relative_to(folder).as_posix()
        for folder in folders[1:]
        for path in folder.rglob("*.yaml")
    }
    raise UserError(
        f"--config {name}: no such file, here or in configs/; there are {', '.join(sorted(known))}"
    )


def _check_yaml(path: Path) -> None:
    """The parser's own message would not name the file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at offset {error.start}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise UserError(f"{path}{line}: not valid YAML: {problem}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected settings as `key: value` lines")
