"""Finds the files of a folder that hold articles."""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from animelm.errors import UserError


@dataclass(frozen=True)
class WeightedFolder:
    """A folder of articles.

    Args:
        path: The folder.
        weight: How often its articles are shown where those of weight 1 are shown once.

    Raises:
        UserError: the weight is below 1.
    """

    path: Path
    weight: int = 1

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise UserError(f"{self.path}: the weight is {self.weight}; expected 1 or more")


FolderSetting = list[Path | WeightedFolder] | WeightedFolder | Path | None
"""A setting that names one folder, several, or none."""


def weighted_folders(setting: FolderSetting) -> tuple[WeightedFolder, ...]:
    """The folders of a setting, in its order."""
    if setting is None:
        return ()
    listed = setting if isinstance(setting, list) else [setting]
    return tuple(
        each if isinstance(each, WeightedFolder) else WeightedFolder(Path(each)) for each in listed
    )


@dataclass(frozen=True)
class FolderFiles:
    """What a folder and its subfolders hold.

    Attributes:
        files: files with one of the suffixes, sorted by path.
        links: symbolic links to folders or to such files, which are not followed.
    """

    files: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    @property
    def about_links(self) -> str:
        """What to do about the links, for messages; empty if there are none."""
        if not self.links:
            return ""
        count, first = len(self.links), self.links[0]
        what = "1 symbolic link is" if count == 1 else f"{count} symbolic links are"
        return (
            f"{what} not followed ({first.name} → {os.readlink(first)}): name the folder that "
            "holds the files themselves, as one of several if need be"
        )

    def warn_of_links(self, folder: Path) -> None:
        """Warns that links are not followed, if there are any."""
        if self.links:
            warnings.warn(f"{folder}: {self.about_links}", stacklevel=2)


def find_files(folder: Path, suffixes: Iterable[str], follows_links: bool = False) -> FolderFiles:
    """Finds files by their suffix, in upper or lower case.

    Files and folders whose name begins with a dot are left out: the settings of editors, the copies
    that notebooks keep, and the ``._`` files in which macOS notes what other systems cannot.

    Args:
        folder: the folder.
        suffixes: in lower case, such as ``.md``.
        follows_links: whether a link to a file is read as the file, as in the cache of the Hugging
            Face hub, where every file is a link.
    """
    wanted = frozenset(suffixes)
    found = FolderFiles()
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.links.extend(link for name in folders if (link := Path(root, name)).is_symlink())
        for name in names:
            path = Path(root, name)
            if name.startswith(".") or path.suffix.lower() not in wanted:
                continue
            is_link = path.is_symlink()
            if is_link and not follows_links:
                found.links.append(path)
            elif path.is_file():
                found.files.append(path)
    found.files.sort()
    found.links.sort()
    return found
