"""LoRA adapters on attention and on every expert, placed by PEFT and saved as PEFT writes them."""

import copy
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from peft import (
    LoraConfig,
    LoraModel,
    PeftModel,
    PeftModelForCausalLM,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from animelm.errors import UserError
from animelm.files import give_usual_permissions
from animelm.model.architecture import CausalLM
from animelm.model.lora.files import WEIGHTS_FILE, StoredAdapter
from animelm.model.lora.fused_layout import (
    fuse_experts,
    fused_targets,
    split_experts,
    split_targets,
)
from animelm.model.lora.linear import Dropout, use_lora_linear
from animelm.model.lora.targets import (
    DEFAULT_TARGETS,
    HEAD,
    audit_targets,
    resolve_targets,
    target_pattern,
    trainable_parameters,
)

STACKED = "stacked_on"
_BASE_WEIGHT = ".base_layer.weight"
# What an adapter of another tool may have, and PEFT cannot put on fused experts.
_PER_EXPERT_ONLY = ("lora_bias", "rank_pattern", "alpha_pattern", "use_dora")


@dataclass(frozen=True)
class LoraSettings:
    """The shape of a LoRA adapter (arXiv 2106.09685).

    Args:
        rank: Width r of the low-rank product.
        alpha: The update is scaled by alpha / rank.
        dropout: Share of an adapter's inputs that is zeroed in training.
        target_modules: Projections that get an adapter: any of q_proj, k_proj, v_proj, o_proj,
            gate_proj, up_proj, down_proj, or a module name of the model itself, its head excepted.

    Raises:
        UserError: a value is out of its range.
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


def add_adapter(model: CausalLM | PeftModel, settings: LoraSettings) -> PeftModel:
    """Puts a fresh, trainable LoRA adapter on the model."""
    plain = model.get_base_model() if isinstance(model, PeftModel) else model
    rows = resolve_targets(plain, tuple(settings.target_modules))
    config = use_lora_linear(
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=target_pattern(plain, rows),
            task_type="CAUSAL_LM",
            bias="none",
        )
    )
    if isinstance(model, PeftModel):
        model.add_adapter("default", config)
        return model
    return get_peft_model(model, config)


def load_adapter(model: CausalLM, folder: Path, trainable: bool) -> PeftModel:
    """Loads an adapter that ``save_adapter`` or PEFT wrote, with the one that it is stacked on.

    Raises:
        UserError: the folder holds no adapter, or one that does not fit the model.
    """
    if not (folder / STACKED).is_dir():
        return _load_one(model, folder, trainable, "default")
    stacked = _load_one(model, folder / STACKED, False, STACKED)
    stacked = _load_one(stacked, folder, trainable, "default")
    return _activate_stack(stacked, trainable)


def continue_adapter(model: CausalLM, folder: Path, settings: LoraSettings) -> PeftModel:
    """Loads the adapter in ``folder`` to train it further, with the dropout of ``settings``.

    Raises:
        UserError: as ``load_adapter``; or its rank, alpha or targets differ from ``settings``, or
            it has other trainable parts.
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
    """Refuses an adapter that covers more or less than the requested targets."""
    rows = audit_targets(model, requested).rows
    for row in rows:
        if not row.trainable_parameters:
            raise UserError(
                f"{folder}: this adapter does not cover {row.label}; leave it out of "
                "target_modules, or stack a second adapter on it (init_mode: stack)"
            )
    others = sorted(trainable_parameters(model).keys() - {row.resolved for row in rows})
    if others:
        raise UserError(
            f"{folder}: this adapter also has trainable parameters on {', '.join(others)}, which "
            "target_modules does not name; add the linear layers among them, or stack a second "
            "adapter on it (init_mode: stack)"
        )


def stack_adapter(model: CausalLM, folder: Path, settings: LoraSettings) -> PeftModel:
    """Puts a new trainable adapter on top of the one in ``folder``, which is frozen.

    Raises:
        UserError: as ``load_adapter``; or the adapter in ``folder`` is itself a stack.
    """
    if (folder / STACKED).is_dir():
        raise UserError(
            f"{folder}: this adapter is already stacked on another one; continue it instead"
        )
    stacked = _load_one(model, folder, False, STACKED)
    return _activate_stack(add_adapter(stacked, settings), True)


def _activate_stack(model: PeftModel, trainable: bool) -> PeftModel:
    cast(LoraModel, model.base_model).set_adapter([STACKED, "default"])
    for module in model.modules():
        if isinstance(module, LoraLayer) and STACKED in module.lora_dropout:
            # What is frozen needs no dropout, which would only disturb the adapter that is trained.
            module.lora_dropout[STACKED] = nn.Identity()
    for path, parameter in model.named_parameters():
        parameter.requires_grad_(trainable and ".lora_" in path and ".default." in path)
    return model


def _load_one(model: CausalLM | PeftModel, folder: Path, trainable: bool, name: str) -> PeftModel:
    stored = StoredAdapter.from_folder(folder)
    if any(f".{HEAD}.lora_" in tensor for tensor in stored.tensors):
        raise UserError(
            f"{folder}: this adapter has LoRA on {HEAD}, and the loss is computed from the "
            f"head's frozen weight; train it with {HEAD} left out of target_modules"
        )
    config, weights = read_per_expert(stored)
    config = use_lora_linear(config)
    config.inference_mode = not trainable
    try:
        if isinstance(model, PeftModel):
            model.add_adapter(name, config)
            if trainable:
                model.set_requires_grad(name)
        else:
            model = PeftModelForCausalLM(model, config, adapter_name=name)
        set_peft_model_state_dict(model, weights, adapter_name=name)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder}: the adapter does not fit this base: {error}") from error
    _check_fit(model, folder, weights, name)
    return model if trainable else model.eval()


def read_per_expert(stored: StoredAdapter) -> tuple[LoraConfig, dict[str, Tensor]]:
    """Configuration and weights of an adapter, for the model with one layer per expert.

    Raises:
        UserError: its tensors do not have the sizes that its configuration says.
    """
    config, weights = stored.config, load_file(stored.folder / WEIGHTS_FILE)
    if not config.target_parameters:
        return config, weights
    try:
        pattern, projections = split_targets(config.target_modules, config.target_parameters)
        weights = split_experts(weights, config.r, projections)
    except UserError as error:
        raise UserError(f"{stored.folder}: {error}") from error
    except ValueError as error:
        raise UserError(f"{stored.folder}: the adapter does not fit this base: {error}") from error
    config.target_modules, config.target_parameters = pattern, None
    return config, weights


def _check_fit(model: PeftModel, folder: Path, weights: Iterable[str], name: str) -> None:
    """Refuses an adapter that PEFT has loaded only in part, or not at all."""
    places = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    # Beside an adapter of the embedding PEFT saves the embedding itself, which is no part of it.
    found = {tensor for tensor in weights if not tensor.endswith(_BASE_WEIGHT)}
    problems = [
        f"{len(names)} {problem}, the first is {min(names)}"
        for names, problem in (
            (places.keys() - found, "tensors are missing from its file"),
            (found - places.keys(), "tensors of its file do not exist in the base"),
        )
        if names
    ]
    if problems:
        raise UserError(
            f"{folder}: the adapter does not fit this base: {'; '.join(problems)}. Expected "
            "an adapter that was trained on this base"
        )


def save_adapter(
    model: PeftModel,
    folder: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Writes the trained adapter as PEFT does for stock transformers, with experts fused.

    PEFT has no dropout on fused experts, so the configuration of such an adapter says 0. The frozen
    adapter that it is stacked on, if any, goes into the subfolder ``stacked_on``.

    Args:
        model: The model with the adapter.
        folder: Where to write; it is created.
        weights: Parameters of all adapters by their names in ``model``; None: those in ``model``.
    """
    for name, place in (("default", folder), (STACKED, folder / STACKED)):
        if name not in model.peft_config:
            continue
        state = get_peft_model_state_dict(
            model,
            state_dict=weights,
            adapter_name=name,
            save_embedding_layers=False,  # else PEFT asks the hub for the size of the base's
        )
        config = copy.deepcopy(cast(LoraConfig, model.peft_config[name]))
        base = cast(CausalLM, model.get_base_model())
        config.base_model_name_or_path, config.inference_mode = base.name_or_path, True
        state = _as_stock(state, config, base.config.num_hidden_layers)
        place.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(str(place))
        # Copies, because safetensors refuses tensors that share memory.
        owned = {key: tensor.detach().cpu().clone().contiguous() for key, tensor in state.items()}
        save_file(owned, place / WEIGHTS_FILE, metadata={"format": "pt"})
        give_usual_permissions(place / WEIGHTS_FILE)


def _as_stock(state: dict[str, Tensor], config: LoraConfig, layers: int) -> dict[str, Tensor]:
    """``state`` for stock transformers; ``config`` is changed alike."""
    modules, parameters = fused_targets(state, layers)
    if not parameters:
        return state
    unfit = [key for key in _PER_EXPERT_ONLY if getattr(config, key)]
    if unfit:
        warnings.warn(
            f"stock PEFT has no {', '.join(unfit)} on fused experts, so this adapter is written "
            "with one layer per expert, and opens only here",
            stacklevel=2,
        )
        return state
    fused = fuse_experts(state)
    config.target_modules, config.target_parameters = modules, parameters
    config.layers_to_transform = config.exclude_modules = None
    config.lora_dropout = 0.0
    return fused
