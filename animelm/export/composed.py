"""One plain LoRA adapter out of an adapter folder, whatever it is stacked on.

Two adapters on one layer are one, whose rank is the sum of theirs:
s₁ B₁ A₁ + s₂ B₂ A₂ = [s₁ B₁, s₂ B₂] [A₁; A₂].

Legend: R rank, I input width, O output width.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from peft import LoraConfig
from torch import Tensor

from animelm.errors import UserError
from animelm.model.lora.adapters import STACKED, read_per_expert
from animelm.model.lora.files import StoredAdapter

_PAIR = re.compile(r"base_model\.model\.(?P<path>.+)\.lora_(?P<part>[AB])\.weight")
_UNMERGEABLE = ("lora_bias", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save")


class LowRank(NamedTuple):
    """The update of one linear layer.

    Attributes:
        a: A, float32 [R, I].
        b: B, float32 [O, R].
    """

    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class ComposedAdapter:
    """An adapter with one rank and one scale for all layers.

    Attributes:
        rank: R.
        alpha: the update of a layer is alpha / R · B A.
        pairs: A and B of each layer, by its path in the model with one layer per expert.
        base: base that its configuration names.
    """

    rank: int
    alpha: int
    pairs: dict[str, LowRank]
    base: str

    @property
    def scaling(self) -> float:
        return self.alpha / self.rank

    def update(self, path: str) -> Tensor | None:
        """The full update [O, I] of a layer, float32; None for a layer without an adapter."""
        pair = self.pairs.get(path)
        return None if pair is None else pair.b @ pair.a * self.scaling


def compose_adapter(folder: Path) -> ComposedAdapter:
    """Reads an adapter, and the one that it is stacked on, as one.

    An adapter that is not stacked keeps its tensors and its alpha.

    Raises:
        UserError: there is no adapter, or it is more than LoRA on linear layers.
    """
    folders = [folder / STACKED, folder] if (folder / STACKED).is_dir() else [folder]
    parts = [_read(each) for each in folders]
    base = parts[-1].base
    if len(parts) == 1:
        return parts[0]
    rank = sum(part.rank for part in parts)
    pairs = {}
    for path in sorted({path for part in parts for path in part.pairs}):
        found = [(part, part.pairs.get(path)) for part in parts]
        known = next(pair for _, pair in found if pair is not None)
        a, b = [], []
        for part, pair in found:
            # Zeros, where a layer lacks an adapter: other tools want one rank everywhere.
            a.append(known.a.new_zeros(part.rank, known.a.shape[1]) if pair is None else pair.a)
            b.append(
                known.b.new_zeros(known.b.shape[0], part.rank)
                if pair is None
                else pair.b * part.scaling
            )
        pairs[path] = LowRank(torch.cat(a), torch.cat(b, 1))
    return ComposedAdapter(rank, rank, pairs, base)


def _read(folder: Path) -> ComposedAdapter:
    config, weights = read_per_expert(StoredAdapter.from_folder(folder))
    for key in _UNMERGEABLE:
        if getattr(config, key):
            raise UserError(
                f"{folder}: {key} is {getattr(config, key)!r}; expected an adapter of A and B on "
                "linear layers, of one rank, which can be merged and opened by every tool"
            )
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in weights.items():
        match = _PAIR.fullmatch(name)
        if match is None:
            raise UserError(f"{folder}: tensor {name} is not the A or B of a linear layer")
        found[match["path"]][match["part"]] = tensor.float()
    alone = [path for path, pair in found.items() if len(pair) < 2]
    if alone:
        raise UserError(f"{folder}: {alone[0]} has only one of A and B; the file is damaged")
    pairs = {path: LowRank(pair["A"], pair["B"]) for path, pair in found.items()}
    return ComposedAdapter(
        config.r, *_plain_scale(config, pairs), config.base_model_name_or_path or ""
    )


def _plain_scale(config: LoraConfig, pairs: dict[str, LowRank]) -> tuple[int, dict[str, LowRank]]:
    """Alpha and pairs; a scale that is no alpha / R becomes part of B."""
    if not config.use_rslora:
        return config.lora_alpha, pairs
    scale = config.lora_alpha / math.sqrt(config.r)
    return config.r, {path: LowRank(pair.a, pair.b * scale) for path, pair in pairs.items()}
