"""The layout in which PEFT stores LoRA on gpt-oss's fused experts (``target_parameters``).

Stock transformers keeps a layer's experts as 3-D parameters, and PEFT stores the adapters of all of
them in one pair of tensors. Under ``….mlp.experts.``:

==========================  ==========  ==============================================
``base_layer.lora_A``       [E·R, C]    gate and up, the expert slowest
``base_layer.lora_B``       [2F, R·E]   gate and up, the expert fastest
``lora_A``                  [E·R, F]    down, the expert slowest
``lora_B``                  [C, R·E]    down, the expert fastest
==========================  ==========  ==============================================

PEFT wraps one parameter after the other, in their order in the module, so gate_up lies inside; an
adapter on one of them alone has no ``base_layer``. Here each expert has linear layers of its own,
``gate_up_projs.N.lora_A`` [R, C] and so on. The conversion is exact in both directions.

Legend: E experts, R rank, C hidden width, F intermediate width.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from animelm.errors import UserError
from animelm.model.checkpoint.formats.fused_experts import EXPERT_LISTS

# In the order in which PEFT wraps them.
PROJECTIONS = tuple(EXPERT_LISTS)
_FUSED_NAMES = {listed: fused for fused, listed in EXPERT_LISTS.items()}
_PER_EXPERT = re.compile(
    rf"(?P<experts>.+\.experts)\.(?P<list>{'|'.join(_FUSED_NAMES)})\.(?P<index>\d+)"
    r"\.lora_(?P<part>[AB])\.weight"
)
_FUSED = re.compile(
    r"(?P<experts>.+\.experts)\.(?P<inner>base_layer\.)?lora_(?P<part>[AB])\.weight"
)


def fuse_experts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an adapter with those of experts fused; others stay as they are.

    Args:
        weights: tensors by the names in PEFT's files.

    Raises:
        ValueError: an expert is missing, or the experts of a projection differ in rank.
    """
    found: dict[tuple[str, str, str], dict[int, Tensor]] = defaultdict(dict)
    fused: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        match = _PER_EXPERT.fullmatch(name)
        if match:
            place = (match["experts"], match["list"], match["part"])
            found[place][int(match["index"])] = tensor
        else:
            fused[name] = tensor
    for (experts, listed, part), by_expert in found.items():
        if sorted(by_expert) != list(range(len(by_expert))):
            raise ValueError(f"{experts}.{listed} lacks the adapter of an expert")
        if len({tensor.shape for tensor in by_expert.values()}) > 1:
            raise ValueError(f"{experts}.{listed} has adapters of different ranks")
        ordered = [by_expert[index] for index in range(len(by_expert))]
        both = all((experts, each, part) in found for each in _FUSED_NAMES)
        inner = "base_layer." if both and listed == EXPERT_LISTS[PROJECTIONS[0]] else ""
        joined = torch.cat(ordered) if part == "A" else torch.stack(ordered, -1).flatten(1)
        fused[f"{experts}.{inner}lora_{part}.weight"] = joined
    return fused


def split_experts(
    weights: Mapping[str, Tensor], rank: int, projections: Collection[str]
) -> dict[str, Tensor]:
    """The tensors of an adapter with one pair for each expert; others stay as they are.

    Args:
        weights: tensors by the names in PEFT's files.
        rank: R.
        projections: the parameters that the adapter covers, of ``PROJECTIONS``.

    Raises:
        ValueError: a tensor's size is no multiple of the rank, or a tensor belongs to no
            projection.
    """
    wrapped = [name for name in PROJECTIONS if name in projections]
    split: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        match = _FUSED.fullmatch(name)
        if match is None:
            split[name] = tensor
            continue
        if not wrapped or (match["inner"] and len(wrapped) < 2):
            raise ValueError(
                f"{name} belongs to none of the target_parameters {', '.join(wrapped) or 'none'}"
            )
        listed = EXPERT_LISTS[wrapped[0] if match["inner"] else wrapped[-1]]
        joint = tensor.shape[0 if match["part"] == "A" else -1]
        if tensor.dim() != 2 or joint % rank:
            raise ValueError(
                f"{name} is {tuple(tensor.shape)}; expected a matrix whose joint axis is a "
                f"multiple of the rank, {rank}"
            )
        parts = tensor.unflatten(0, (-1, rank)).unbind() if match["part"] == "A" else (
            tensor.unflatten(-1, (rank, -1)).unbind(-1)
        )  # fmt: skip
        for index, part in enumerate(parts):
            split[f"{match['experts']}.{listed}.{index}.lora_{match['part']}.weight"] = part
    return split


def split_targets(
    modules: str | Collection[str] | None, parameters: Iterable[str]
) -> tuple[str, frozenset[str]]:
    """PEFT's ``target_modules`` for the model with one layer per expert, and the projections.

    Args:
        modules: ``target_modules`` of the fused adapter.
        parameters: its ``target_parameters``, such as mlp.experts.gate_up_proj.

    Returns:
        A regular expression on the paths of modules, and those of ``PROJECTIONS`` that are covered.

    Raises:
        UserError: a parameter is none of gpt-oss's experts'.
    """
    names = [modules] if isinstance(modules, str) else []
    if not isinstance(modules, str):
        names = [rf"(?:.*\.)?{re.escape(name)}" for name in sorted(modules or ())]
    covered = set()
    for parameter in sorted(parameters):
        path, _, fused = parameter.rpartition(".")
        if fused not in EXPERT_LISTS:
            raise UserError(
                f"target_parameters names {parameter}; expected parameters of gpt-oss's experts: "
                "mlp.experts.gate_up_proj, mlp.experts.down_proj"
            )
        covered.add(fused)
        listed = f"{path}.{EXPERT_LISTS[fused]}" if path else EXPERT_LISTS[fused]
        names.append(rf"(?:.*\.)?{re.escape(listed)}\.\d+")
    return "|".join(f"(?:{name})" for name in names), frozenset(covered)


def fused_targets(names: Iterable[str], layers: int) -> tuple[list[str], list[str]]:
    """``target_modules`` and ``target_parameters`` of an adapter for the fused model.

    Args:
        names: of its tensors, with one pair for each expert.
        layers: decoder layers of the model. What all of them have is named once, by its own name;
            anything else by its whole path.
    """
    modules: dict[str, set[str]] = defaultdict(set)
    parameters: dict[str, set[str]] = defaultdict(set)
    for name in names:
        path = name.removeprefix("base_model.model.")
        match = _PER_EXPERT.fullmatch(path)
        if match:
            parameter = f"{match['experts']}.{_FUSED_NAMES[match['list']]}"
            parameters[f"mlp.experts.{_FUSED_NAMES[match['list']]}"].add(parameter)
            continue
        found = re.fullmatch(r"(.+)\.lora_(A|B|embedding_A|embedding_B)(\.weight|\.bias)?", path)
        if found:
            modules[found[1].rpartition(".")[2]].add(found[1])
    return _short(modules, layers), _short(parameters, layers)


def _short(paths: Mapping[str, set[str]], layers: int) -> list[str]:
    short: list[str] = []
    for name, places in paths.items():
        whole = len(places) == layers or not any(".layers." in f".{place}" for place in places)
        short += [name] if whole else sorted(places)
    return sorted(short)
