"""The tensors of a checkpoint folder, read one at a time.

Files are read, not mapped: pages of a mapped file count as the process's memory for as long as the
file is open.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from torch import Tensor

from animelm.errors import UserError

_INDEX = "model.safetensors.index.json"
_SINGLE_FILE = "model.safetensors"
_ADAPTER = "adapter_model.safetensors"
# Nothing that leads out of the folder.
_FILE_NAME = re.compile(r"[^/\\:]+\.safetensors")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is named, and read only when it is asked for.

    Attributes:
        name: as in the checkpoint.
        place: what holds it, for messages: a file.
        bytes: its size there.
    """

    name: str
    place: str
    bytes: int
    _read: Callable[[], Tensor]

    def read(self) -> Tensor:
        """The tensor, read anew at each call.

        Raises:
            UserError: it cannot be read, or its type is none that PyTorch has.
        """
        try:
            return self._read()
        except (SafetensorError, OSError, AttributeError) as error:
            raise self.wrong(f"cannot be read ({error})") from error

    def wrong(self, problem: str) -> UserError:
        """An error that names file and tensor, to be raised."""
        return UserError(f"{self.place}: tensor {self.name} {problem}")

    def unlike(self, tensor: Tensor, expected: str) -> UserError:
        """As ``wrong``, for a shape or type that is not the ``expected`` one."""
        found = f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
        return self.wrong(f"is {found}; expected {expected}")


class Checkpoint:
    """The tensors of a base by their names, none of them read yet."""

    def __init__(self, tensors: Iterable[StoredTensor]) -> None:
        """Raises: UserError: two files hold a tensor of the same name."""
        self._tensors: dict[str, StoredTensor] = {}
        for tensor in tensors:
            first = self._tensors.setdefault(tensor.name, tensor)
            if first is not tensor:
                raise tensor.wrong(f"is in {first.place} too; expected it in one file only")

    @staticmethod
    def in_folder(folder: Path) -> "Checkpoint":
        """What the weight files of a folder hold.

        That is ``model.safetensors``; without it those that ``model.safetensors.index.json`` names;
        and without an index every safetensors file but an adapter's.

        Raises:
            UserError: there is none, or one that the index names is not there; one is cut off or
                no safetensors file at all; two hold the same tensor; the index is broken.
        """
        return Checkpoint(tensor for file in _weight_files(folder) for tensor in tensors_in(file))

    @staticmethod
    def of_state(state: Mapping[str, Tensor], place: str) -> "Checkpoint":
        """Tensors that are in memory already, as if ``place`` were a file with them."""
        return Checkpoint(
            StoredTensor(name, place, tensor.nbytes, partial(state.__getitem__, name))
            for name, tensor in state.items()
        )

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for tensor in self)

    def __iter__(self) -> Iterator[StoredTensor]:
        """Every tensor, file by file and in the order in which it lies there."""
        return iter(self._tensors.values())

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def beside(self, tensor: StoredTensor, name: str) -> StoredTensor:
        """The tensor ``name``, which ``tensor`` cannot be read without.

        Raises:
            UserError: the checkpoint lacks it.
        """
        if name not in self._tensors:
            raise tensor.wrong(f"needs {name}, which the checkpoint lacks")
        return self._tensors[name]


def _weight_files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if (folder / _SINGLE_FILE).is_file():  # as transformers, also where there is an index
        return [folder / _SINGLE_FILE]
    if index.is_file():
        return _indexed_files(index)
    files = [file for file in sorted(folder.glob("*.safetensors")) if file.name != _ADAPTER]
    if not files:
        raise UserError(
            f"{folder}: no .safetensors file with a base's weights; expected {_SINGLE_FILE}, or "
            f"several files and {_INDEX}, as transformers writes them"
        )
    return files


def _indexed_files(index: Path) -> list[Path]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(name) for name in weight_map.values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index}: no index of weights ({error!r}); expected JSON with a weight_map from the "
            "names of tensors to those of their files"
        ) from error
    if not names:
        raise UserError(f"{index}: weight_map is empty; expected the files that hold the weights")
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise UserError(
                f"{index}: weight_map names {name!r}; expected .safetensors files in its folder"
            )
        if not (index.parent / name).is_file():
            raise UserError(f"{index}: weight_map names {name}, which is not there; fetch it again")
    return [index.parent / name for name in names]


def tensors_in(file: Path) -> Iterator[StoredTensor]:
    """The tensors of one safetensors file.

    Raises:
        UserError: it is cut off or no safetensors file at all.
    """
    try:
        opened = safe_open(file, framework="pt", backend="pread")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{file}: not a whole safetensors file ({error}); fetch or copy it again"
        ) from error
    for name in opened.offset_keys():
        described = opened.get_slice(name)
        bits = re.search(r"\d+", described.get_dtype())  # such as BF16 or F8_E4M3; BOOL has none
        size = math.prod(described.get_shape()) * (int(bits[0]) if bits else 8) // 8
        yield StoredTensor(name, str(file), size, partial(opened.get_tensor, name))


def loading_progress() -> Progress:
    """A bar by bytes on the terminal's error stream; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("loading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
