"""Which linear layers a requested LoRA target reaches, and how many parameters it trains.

Each requested name must reach at least one linear layer, and what it reached is reported.
"""

import difflib
import re
from dataclasses import dataclass, field

from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from animelm.errors import UserError

HEAD = "lm_head"
DEFAULT_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# gpt-oss fuses gate and up into one projection; each projection of its experts is a list of layers.
_FUSED_NAMES = {"gate_proj": "gate_up_projs", "up_proj": "gate_up_projs", "down_proj": "down_projs"}


@dataclass(frozen=True)
class TargetRow:
    """One projection of the model, and the requested targets that resolve to it.

    Attributes:
        requested: the names in the settings (gate_proj and up_proj share one row).
        resolved: the projection's name in the model.
        modules: number of linear layers of that name.
        trainable_parameters: parameters of their adapters.
    """

    requested: tuple[str, ...]
    resolved: str
    modules: int
    trainable_parameters: int = 0

    @property
    def label(self) -> str:
        return "+".join(self.requested)


@dataclass(frozen=True)
class TargetAudit:
    """Trainable parameters per requested target."""

    rows: tuple[TargetRow, ...] = field(default_factory=tuple)

    @property
    def per_target(self) -> dict[str, int]:
        return {row.label: row.trainable_parameters for row in self.rows}

    @property
    def total(self) -> int:
        return sum(row.trainable_parameters for row in self.rows)


def _linear_names(model: nn.Module) -> dict[str, list[str]]:
    """Paths of linear layers by their name: the path's last part, or the name of their list.

    Without the head, whose forward pass the loss never runs.
    """
    found: dict[str, list[str]] = {}
    for path, module in model.named_modules():
        left_out = re.search(rf"^{HEAD}(\.|$)|\.(base_layer|lora_\w+)(\.|$)", path)
        if isinstance(module, nn.Linear | LoraLayer) and not left_out:
            parts = path.split(".")
            name = parts[-2] if parts[-1].isdigit() else parts[-1]
            found.setdefault(name, []).append(path)
    return found


def resolve_targets(model: nn.Module, requested: tuple[str, ...]) -> tuple[TargetRow, ...]:
    """Maps requested names to the model's linear layers.

    Raises:
        UserError: a name reaches no layer (the nearest names are given), or the list is empty.
    """
    if not requested:
        raise UserError("target_modules is empty; expected at least one projection to train")
    available = _linear_names(model)
    reached: dict[str, list[str]] = {}
    for name in requested:
        resolved = name if name in available else _FUSED_NAMES.get(name, name)
        if resolved not in available:
            raise _unreachable(name, set(available))
        reached.setdefault(resolved, []).append(name)
    return tuple(
        TargetRow(tuple(names), resolved, len(available[resolved]))
        for resolved, names in reached.items()
    )


def _unreachable(name: str, available: set[str]) -> UserError:
    known = sorted(available | {short for short, long in _FUSED_NAMES.items() if long in available})
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    problem = "matches no linear layer of the model"
    if name == HEAD:
        problem = "cannot be adapted (the loss is computed in chunks from the head's frozen weight)"
    return UserError(
        f"target_modules: {name!r} {problem}, so nothing would be trained for it. "
        f"Nearest names: {', '.join(near)}"
    )


def target_pattern(model: nn.Module, rows: tuple[TargetRow, ...]) -> str:
    """PEFT's ``target_modules`` for the layers in ``rows``: a regular expression on their paths."""
    available = _linear_names(model)
    in_lists = {
        row.resolved: available[row.resolved][0].rsplit(".", 1)[-1].isdigit() for row in rows
    }
    names = "|".join(
        re.escape(name) + (r"\.\d+" if listed else "") for name, listed in in_lists.items()
    )
    return rf"(?:.*\.)?(?:{names})"


def trainable_parameters(model: PeftModel) -> dict[str, int]:
    """Trainable parameters by the name of their module.

    The name of anything but LoRA's A and B is followed by its kind, such as ``lm_head
    (modules_to_save)``.
    """
    counts: dict[str, int] = {}
    kinds = r"lora_\w+|modules_to_save"
    for path, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        found = re.search(rf"\.([^.]+?)(?:\.\d+)?\.({kinds})(?:\.|$)", path)
        name, kind = found.groups() if found else (path, "")
        if kind not in ("lora_A", "lora_B"):
            name = f"{name} ({kind})" if kind else name
        counts[name] = counts.get(name, 0) + parameter.numel()
    return counts


def audit_targets(model: PeftModel, requested: tuple[str, ...]) -> TargetAudit:
    """Counts the trainable parameters of each requested target."""
    counts = trainable_parameters(model)
    rows = resolve_targets(model.get_base_model(), requested)
    return TargetAudit(
        tuple(
            TargetRow(row.requested, row.resolved, row.modules, counts.get(row.resolved, 0))
            for row in rows
        )
    )
