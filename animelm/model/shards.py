"""The tensors of a checkpoint folder, read one at a time.

Files are read, not mapped: pages of a mapped file count as the process's memory for as long as the
file is open.
"""

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
        self._tensors = {tensor.name: tensor for tensor in tensors}

    @staticmethod
    def in_folder(folder: Path) -> "Checkpoint":
        """What the safetensors files of a folder hold.

        Raises:
            UserError: there is none, or one is cut off or no safetensors file at all.
        """
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise UserError(
                f"{folder}: no .safetensors file; expected the weights as transformers writes them"
            )
        return Checkpoint(tensor for file in files for tensor in tensors_in(file))

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
