"""The weights of a base with an adapter merged, in stock transformers' layout, a layer at a time.

Legend: E experts, I input width, O output width.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from animelm.errors import UserError
from animelm.export.composed import ComposedAdapter
from animelm.model.architecture import CausalLM, Config, empty_model, new_model
from animelm.model.checkpoint.formats import load_tensor
from animelm.model.checkpoint.formats.fused_experts import EXPERT_LISTS
from animelm.model.checkpoint.hub import load_config, resolve_base
from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import WeightLoader
from animelm.model.quantization.linear4bit import Quantization, weight_in

_LAYER = re.compile(r"(model\.layers\.\d+)\.")
_EXPERTS = re.compile(
    r"(?P<experts>.+\.experts)\.(?P<fused>gate_up_proj|down_proj)(?P<bias>_bias)?"
)
_HEAD = "lm_head.weight"


@dataclass(frozen=True)
class StockTensor:
    """One parameter of stock transformers' model, computed when it is asked for.

    Attributes:
        name: its name there.
        shape: its shape there; experts' matrices are [E, I, O].
        matrices: for experts' matrices, the functions that compute each, float32 [O, I].
        lora_a: A of the update in each of these matrices, None where there is none.
        value: any other parameter.
    """

    name: str
    shape: torch.Size
    matrices: tuple[partial[Tensor], ...] = ()
    lora_a: tuple[Tensor | None, ...] = ()
    value: Tensor | None = None

    def tensor(self, dtype: torch.dtype) -> Tensor:
        """The parameter in ``dtype``; of experts' matrices, one is computed at a time."""
        if self.value is not None:
            return self.value.to(dtype).contiguous()
        joined = torch.empty(self.shape, dtype=dtype)
        for place, matrix in zip(joined, self.matrices, strict=True):
            place.copy_(matrix().T)
        return joined


def stock_shapes(config: Config) -> dict[str, torch.Size]:
    """Shapes of the parameters of stock transformers' model by name; a tied head is left out."""
    with torch.device("meta"):
        state = new_model(config).state_dict()
    tied = config.tie_word_embeddings
    return {name: value.shape for name, value in state.items() if not (tied and name == _HEAD)}


def merged_tensors(
    base: str, quantization: Quantization, adapter: ComposedAdapter | None = None
) -> Iterator[StockTensor]:
    """Every parameter of the base, with the adapter's update added in float32.

    Memory holds one layer at a time. A tensor must be computed before the next one is taken.

    Args:
        base: checkpoint folder or hub id, in any format that ``load_base`` reads.
        quantization: the form that the adapter was trained on: the weights are quantized to it and
            dequantized again. ``none`` and ``mxfp4`` take an MXFP4 base as it is.
        adapter: what to add; None: nothing.

    Raises:
        UserError: the base is malformed, or the adapter does not fit it.
    """
    folder = resolve_base(base)
    config = load_config(str(folder))
    model = empty_model(config, quantization)
    loader = WeightLoader(model, torch.float32)
    checkpoint = Checkpoint.from_folder(folder)
    shapes = stock_shapes(config)
    groups: dict[str, list[StoredTensor]] = defaultdict(list)
    for tensor in checkpoint:
        groups[_group(tensor.name)].append(tensor)
    _check_tied_head(checkpoint, config)
    if adapter is not None:
        _require_fit(adapter, model, base)
    for group in dict.fromkeys(map(_group, shapes)):
        for tensor in groups[group]:
            load_tensor(tensor, checkpoint, loader)
        missing = {name for name in loader.missing if _group(name) == group}
        if missing:
            raise UserError(f"{folder}: the checkpoint lacks {min(missing)}")
        for name in (name for name in shapes if _group(name) == group):
            yield _stock_tensor(model, name, shapes[name], adapter)
        # The module of a layer, or that of a single parameter.
        path = group if _LAYER.match(f"{group}.") else group.rpartition(".")[0]
        model.get_submodule(path).to_empty(device="meta")


def _group(name: str) -> str:
    match = _LAYER.match(name)
    return match[1] if match else name


def _check_tied_head(checkpoint: Checkpoint, config: Config) -> None:
    stored = {tensor.name: tensor for tensor in checkpoint}
    embedding, head = stored.get("model.embed_tokens.weight"), stored.get(_HEAD)
    if not config.tie_word_embeddings or head is None or embedding is None:
        return
    if not torch.equal(head.read(), embedding.read()):
        raise head.error("differs from the embedding, and config.json says tie_word_embeddings")


def _require_fit(adapter: ComposedAdapter, model: CausalLM, base: str) -> None:
    linear = {path: each for path, each in model.named_modules() if isinstance(each, nn.Linear)}
    for path, pair in adapter.pairs.items():
        layer = linear.get(path)
        expected = None if layer is None else (layer.out_features, layer.in_features)
        if expected != (pair.b.shape[0], pair.a.shape[1]):
            raise UserError(
                f"the adapter does not fit the base {base}: {path} is {expected or 'missing'} "
                f"there, and the adapter's update is {(pair.b.shape[0], pair.a.shape[1])}"
            )


def _stock_tensor(
    model: CausalLM, name: str, shape: torch.Size, adapter: ComposedAdapter | None
) -> StockTensor:
    match = _EXPERTS.fullmatch(name)
    if match is None:
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        if isinstance(module, nn.Linear) and leaf == "weight":
            return StockTensor(name, shape, value=_merged(model, path, adapter))
        return StockTensor(name, shape, value=module.get_parameter(leaf).detach())
    path = f"{match['experts']}.{EXPERT_LISTS[match['fused']]}"
    count = shape[0]
    if match["bias"]:
        biases: list[Tensor] = [
            model.get_parameter(f"{path}.{index}.bias") for index in range(count)
        ]
        return StockTensor(name, shape, value=torch.stack(biases).detach())
    paths = [f"{path}.{index}" for index in range(count)]
    pairs = [adapter.pairs.get(each) if adapter else None for each in paths]
    return StockTensor(
        name,
        shape,
        tuple(partial(_merged, model, each, adapter) for each in paths),
        tuple(pair.a if pair else None for pair in pairs),
    )


def _merged(model: CausalLM, path: str, adapter: ComposedAdapter | None) -> Tensor:
    layer = model.get_submodule(path)
    assert isinstance(layer, nn.Linear)
    weight = weight_in(layer, torch.float32).detach()
    update = adapter.update(path) if adapter else None
    return weight if update is None else weight + update
