"""LoRA adapters on attention and on every expert, placed by PEFT and saved as PEFT writes them.

Target names are audited: each one must reach at least one linear layer, and what it reached is
reported.
"""

import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from peft import (
    LoraConfig,
    LoraModel,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from animelm.errors import UserError
from animelm.model.architecture import CausalLM
from animelm.model.lora.files import ANCESTRY_FILE, StoredAdapter
from animelm.model.lora.linear import Dropout, use_lora_linear

HEAD = "lm_head"
DEFAULT_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# gpt-oss fuses gate and up into one projection; its experts stand in lists of their own.
_FUSED_NAMES = {"gate_proj": "gate_up_projs", "up_proj": "gate_up_projs", "down_proj": "down_projs"}
STACKED = "stacked_on"
_BASE_WEIGHT = ".base_layer.weight"


@dataclass(frozen=True)
class LoraSettings:
    """LoRA's shape (arXiv 2106.09685).

    Args:
        rank: Width r of the low-rank product.
        alpha: The update is scaled by alpha / rank.
        dropout: Share of an adapter's inputs that is zeroed in training.
        target_modules: Projections that get an adapter: any of q_proj, k_proj, v_proj, o_proj,
            gate_proj, up_proj, down_proj, or a module name of the model itself, its head excepted.

    Raises:
        UserError: a value that LoRA has no meaning for.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    target_modules: tuple[str, ...] = DEFAULT_TARGETS

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise UserError(f"LoRA's {name} is {getattr(self, name)}; expected 1 or more")
        if not 0 <= self.dropout < 1:
            raise UserError(f"LoRA's dropout is {self.dropout}; expected at least 0 and below 1")


@dataclass(frozen=True)
class TargetRow:
    """What the requested targets of one module name became.

    Attributes:
        requested: the names as the user wrote them (gate_proj and up_proj share one row).
        resolved: the module name that they reached.
        modules: how many linear layers that is.
        trainable_parameters: their adapters' parameters.
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
    """Linear layers by the name one would ask for: the path's last part, or their list's name.

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
        raise UserError("target_modules is empty: nothing would be trained")
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
        problem = "is not adapted (the loss is computed in chunks from the head's frozen weight)"
    return UserError(
        f"target_modules: {name!r} {problem}, so nothing of it would be trained. "
        f"Nearest names: {', '.join(near)}"
    )


def _target_pattern(model: nn.Module, rows: tuple[TargetRow, ...]) -> str:
    available = _linear_names(model)
    in_lists = {
        row.resolved: available[row.resolved][0].rsplit(".", 1)[-1].isdigit() for row in rows
    }
    names = "|".join(
        re.escape(name) + (r"\.\d+" if listed else "") for name, listed in in_lists.items()
    )
    return rf"(?:.*\.)?(?:{names})"


def add_adapter(model: CausalLM | PeftModel, settings: LoraSettings) -> PeftModel:
    """Puts a fresh, trainable LoRA adapter on the model."""
    plain = model.get_base_model() if isinstance(model, PeftModel) else model
    rows = resolve_targets(plain, tuple(settings.target_modules))
    config = use_lora_linear(
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=_target_pattern(plain, rows),
            task_type="CAUSAL_LM",
            bias="none",
        )
    )
    if isinstance(model, PeftModel):
        model.add_adapter("default", config)
        return model
    return get_peft_model(model, config)


def _trainable_parameters(model: PeftModel) -> dict[str, int]:
    """Trainable parameters by the name of their module.

    Whatever is not LoRA's A or B has its kind beside the name, such as ``lm_head
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
    """Counts the trainable parameters behind each requested target."""
    counts = _trainable_parameters(model)
    rows = resolve_targets(model.get_base_model(), requested)
    return TargetAudit(
        tuple(
            TargetRow(row.requested, row.resolved, row.modules, counts.get(row.resolved, 0))
            for row in rows
        )
    )


def load_adapter(model: CausalLM, folder: Path, trainable: bool) -> PeftModel:
    """Loads an adapter that ``save_adapter`` or PEFT wrote, with the one it stands on.

    Raises:
        UserError: the folder holds no adapter, or one that does not fit the model.
    """
    if not (folder / STACKED).is_dir():
        return _load_one(model, folder, trainable, "default")
    stacked = _load_one(model, folder / STACKED, False, STACKED)
    stacked = _load_one(stacked, folder, trainable, "default")
    return _activate_stack(stacked, trainable)


def continue_adapter(model: CausalLM, folder: Path, settings: LoraSettings) -> PeftModel:
    """The adapter in ``folder``, to be trained further with the dropout of ``settings``.

    Raises:
        UserError: as ``load_adapter``; or its rank, alpha or targets are not those of ``settings``,
            or it trains anything else.
    """
    continued = load_adapter(model, folder, trainable=True)
    config = cast(LoraConfig, continued.peft_config["default"])
    for name, own in (("rank", config.r), ("alpha", config.lora_alpha)):
        wanted = getattr(settings, name)
        if own != wanted:
            raise UserError(
                f"{folder}: this adapter's {name} is {own}, the settings say {wanted}; set it to "
                f"{own}, or stack a second adapter on it (init_mode: stack)"
            )
    _check_targets(continued, folder, settings.target_modules)
    config.lora_dropout = settings.dropout
    for module in continued.modules():
        if isinstance(module, LoraLayer) and "default" in module.lora_dropout:
            module.lora_dropout["default"] = Dropout(settings.dropout)
    return continued


def _check_targets(model: PeftModel, folder: Path, requested: tuple[str, ...]) -> None:
    """Refuses to train more or less of an adapter than is requested."""
    rows = audit_targets(model, requested).rows
    for row in rows:
        if not row.trainable_parameters:
            raise UserError(
                f"{folder}: this adapter has nothing on {row.label}; leave it out of "
                "target_modules, or stack a second adapter on it (init_mode: stack)"
            )
    others = sorted(_trainable_parameters(model).keys() - {row.resolved for row in rows})
    if others:
        raise UserError(
            f"{folder}: this adapter would also be trained on {', '.join(others)}, which "
            "target_modules does not name; add what is a linear layer there, or stack a second "
            "adapter on it (init_mode: stack)"
        )


def stack_adapter(model: CausalLM, folder: Path, settings: LoraSettings) -> PeftModel:
    """A fresh trainable adapter on top of a frozen one that is loaded from ``folder``.

    Raises:
        UserError: as ``load_adapter``; or the adapter in ``folder`` is itself a stack.
    """
    if (folder / STACKED).is_dir():
        raise UserError(
            f"{folder}: this adapter already stands on another one; continue it instead"
        )
    stacked = _load_one(model, folder, False, STACKED)
    return _activate_stack(add_adapter(stacked, settings), True)


def _activate_stack(model: PeftModel, trainable: bool) -> PeftModel:
    cast(LoraModel, model.base_model).set_adapter([STACKED, "default"])
    for path, parameter in model.named_parameters():
        parameter.requires_grad_(trainable and ".lora_" in path and ".default." in path)
    return model


def _load_one(model: CausalLM | PeftModel, folder: Path, trainable: bool, name: str) -> PeftModel:
    stored = StoredAdapter.in_folder(folder)
    if any(f".{HEAD}.lora_" in tensor for tensor in stored.tensors):
        raise UserError(
            f"{folder}: this adapter has LoRA on {HEAD}, whose weight is read as it is, without "
            f"an adapter; train it with {HEAD} left out of target_modules"
        )
    try:
        if isinstance(model, PeftModel):
            model.load_adapter(str(folder), adapter_name=name, is_trainable=trainable)
        else:
            model = PeftModel.from_pretrained(
                model,
                str(folder),
                adapter_name=name,
                is_trainable=trainable,
                config=use_lora_linear(stored.config),
            )
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder}: the adapter does not fit this base: {error}") from error
    _check_fit(model, stored, name)
    return model


def _check_fit(model: PeftModel, stored: StoredAdapter, name: str) -> None:
    """Refuses an adapter of which PEFT has loaded only a part, or nothing."""
    places = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    # Beside an adapter of the embedding PEFT saves the embedding itself, which is no part of it.
    found = {tensor for tensor in stored.tensors if not tensor.endswith(_BASE_WEIGHT)}
    problems = [
        f"{len(names)} {problem}, the first is {min(names)}"
        for names, problem in (
            (places.keys() - found, "tensors are missing in its file"),
            (found - places.keys(), "tensors of its file have no place in the base"),
        )
        if names
    ]
    if problems:
        raise UserError(
            f"{stored.folder}: the adapter does not fit this base: {'; '.join(problems)}. Expected "
            "an adapter that was trained on this base"
        )


def save_adapter(
    model: PeftModel,
    folder: Path,
    ancestry: list[dict[str, str]],
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Writes the trained adapter in PEFT's own files, with its ancestry.

    The frozen adapter that it stands on, if any, goes into the folder ``stacked_on`` in it.

    Args:
        model: has the adapter.
        folder: is made.
        ancestry: the steps that led to the adapter, oldest first.
        weights: parameters of all adapters by their names in ``model``; None: as they lie there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("default", STACKED):
        if name in model.peft_config:
            model.save_pretrained(
                str(folder),
                selected_adapters=[name],
                state_dict=weights,
                save_embedding_layers=False,  # else PEFT asks the hub how large the base's is
            )
    for card in folder.rglob("README.md"):  # PEFT's model card is an unfilled form
        card.unlink()
    text = json.dumps(ancestry, ensure_ascii=False, indent=2)
    (folder / ANCESTRY_FILE).write_text(text + "\n", encoding="utf-8")
