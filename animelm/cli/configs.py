"""Where a config named on the command line is found."""

from pathlib import Path

import animelm

_BESIDE_PACKAGE = Path(animelm.__file__).parent.parent / "configs"


def find_configs(arguments: list[str]) -> list[str]:
    """Replaces each ``--config NAME`` that is no file here by the file of that name in configs/.

    Looked up in ``configs/`` of the working directory, then beside the package.
    """
    found, expects_name = [], False
    for argument in arguments:
        option, equals, name = argument.partition("=")
        if expects_name:
            argument = _find(argument)
        elif equals and option in ("--config", "-c"):
            argument = f"{option}={_find(name)}"
        expects_name = argument in ("--config", "-c")
        found.append(argument)
    return found


def _find(name: str) -> str:
    for folder in (Path(), Path("configs"), _BESIDE_PACKAGE):
        if (folder / name).is_file():
            return str(folder / name)
    return name
