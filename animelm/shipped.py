"""Files that ship with the project: its configs, the embedded base, and the sample.

In a clone ``configs/`` and ``checkpoints/`` lie beside the package; a wheel holds them inside it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_CLONE = _PACKAGE.parent
CONFIGS = _PACKAGE / "configs" if (_PACKAGE / "configs").is_dir() else _CLONE / "configs"
# How shipped configs and commands name these folders, and where they are.
_SHIPPED = {
    Path("checkpoints/nano-gpt-oss-ja"): CONFIGS.parent / "checkpoints" / "nano-gpt-oss-ja",
    Path("animelm/sample/generated"): _PACKAGE / "sample" / "generated",
}


def find_shipped(path: Path) -> Path:
    """The place of a file or folder of the project, if ``path`` names one that is not here.

    Args:
        path: Any path. What exists is returned as it is, so a clone's own files come first.

    Returns:
        The installed file or folder that a path such as ``checkpoints/nano-gpt-oss-ja`` names from
        any working directory; ``path`` itself where it exists or names something else.
    """
    if path.exists():
        return path
    for name, place in _SHIPPED.items():
        if path.is_relative_to(name) and (place / path.relative_to(name)).exists():
            return place / path.relative_to(name)
    return path
