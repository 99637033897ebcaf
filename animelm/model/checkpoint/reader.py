"""Reads the tensors of a checkpoint folder one at a time.

Files are not memory-mapped: pages of a mapped file count as the process's memory as long as the
file is open.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from torch import Tensor

from animelm.errors import UserError
from animelm.reading import read_json
from animelm.terminal import Terminal

_INDEX = "model.safetensors.index.json"
_SINGLE_FILE = "model.safetensors"
_ADAPTER = "adapter_model.safetensors"
_MOST_TENSORS = 100_000  # far above any base that is published
# No path out of the folder.
_FILE_NAME = re.compile(r"[^/\\:]+\.safetensors")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a checkpoint that is read on demand.

    Attributes:
        name: name in the checkpoint.
        file: the file that holds it, for messages.
        bytes: size in the file.
    """

    name: str
    file: str
    bytes: int
    _read: Callable[[], Tensor]

    def read(self) -> Tensor:
        """The tensor, read again at each call.

        Raises:
            UserError: the tensor cannot be read, or PyTorch has no such type.
        """
        try:
            return self._read()
        except (SafetensorError, OSError, AttributeError, RuntimeError) as error:
            raise self.error(f"cannot be read ({error})") from error

    def error(self, problem: str) -> UserError:
        """An error to raise, which names file and tensor."""
        return UserError(f"{self.file}: tensor {self.name} {problem}")

    def mismatch(self, tensor: Tensor, expected: str) -> UserError:
        """An error to raise for a shape or type that is not the ``expected`` one."""
        found = f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
        return self.error(f"is {found}; expected {expected}")


class Checkpoint:
    """The tensors of a base by name; they are read on demand."""

    def __init__(self, tensors: Iterable[StoredTensor]) -> None:
        """Raises UserError if two files hold a tensor of the same name."""
        self._tensors: dict[str, StoredTensor] = {}
        for tensor in tensors:
            first = self._tensors.setdefault(tensor.name, tensor)
            if first is not tensor:
                raise tensor.error(f"is in {first.file} as well; expected it in one file only")

    @staticmethod
    def from_folder(folder: Path) -> "Checkpoint":
        """The tensors in the weight files of a folder.

        The weight files are ``model.safetensors``; without it, those that
        ``model.safetensors.index.json`` lists; without an index, every safetensors file except an
        adapter's.

        Raises:
            UserError: there is no weight file, or a listed one is missing; a file is truncated or
                not in the safetensors format; two files hold the same tensor; or the index is
                malformed.
        """
        return Checkpoint(tensor for file in _weight_files(folder) for tensor in tensors_in(file))

    @staticmethod
    def from_state_dict(state: Mapping[str, Tensor], file: str) -> "Checkpoint":
        """Tensors in memory, presented as a checkpoint; messages call it ``file``."""
        return Checkpoint(
            StoredTensor(name, file, tensor.nbytes, partial(state.__getitem__, name))
            for name, tensor in state.items()
        )

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for tensor in self)

    def __iter__(self) -> Iterator[StoredTensor]:
        """Every tensor, file by file, in the order of the file."""
        return iter(self._tensors.values())

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def companion(self, tensor: StoredTensor, name: str) -> StoredTensor:
        """The tensor ``name``, which is needed to interpret ``tensor``.

        Raises:
            UserError: the checkpoint lacks it.
        """
        if name not in self._tensors:
            raise tensor.error(f"needs {name}, which the checkpoint lacks")
        return self._tensors[name]


def _weight_files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if (folder / _SINGLE_FILE).is_file():  # as in transformers, even if there is an index
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
        weight_map = read_json(index)["weight_map"]
        names = sorted({str(name) for name in weight_map.values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index}: not an index of weights ({error!r}); expected JSON with a weight_map from "
            "tensor names to file names"
        ) from error
    if not names:
        raise UserError(f"{index}: weight_map is empty; expected the files that hold the weights")
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise UserError(
                f"{index}: weight_map names {name!r}; expected .safetensors files in its folder"
            )
        if not (index.parent / name).is_file():
            raise UserError(f"{index}: weight_map names {name}, but it is missing; get it again")
    return [index.parent / name for name in names]


def tensors_in(file: Path) -> Iterator[StoredTensor]:
    """The tensors of one safetensors file.

    Raises:
        UserError: the file is truncated, not in the safetensors format, or holds too many tensors.
    """
    try:
        opened = safe_open(file, framework="pt", backend="pread")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{file}: not a complete safetensors file ({error}); download or copy it again"
        ) from error
    names = opened.offset_keys()
    if len(names) > _MOST_TENSORS:
        raise UserError(f"{file}: holds {len(names):,} tensors; expected {_MOST_TENSORS:,} at most")
    for name in names:
        described = opened.get_slice(name)
        bits = re.search(r"\d+", described.get_dtype())  # such as BF16 or F8_E4M3; BOOL has none
        size = math.prod(described.get_shape()) * (int(bits[0]) if bits else 8) // 8
        yield StoredTensor(name, str(file), size, partial(opened.get_tensor, name))


def loading_progress() -> Progress:
    """A progress bar by bytes on stderr; nothing if stderr is not a terminal."""
    console = Terminal(stderr=True)
    return Progress(
        TextColumn("loading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
