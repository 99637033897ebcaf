"""What a run has in common with the run that it goes on from, and what may differ."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn

from animelm.data.sources.parquet import file_hash
from animelm.errors import UserError
from animelm.model.lora.files import WEIGHTS_FILE
from animelm.provenance.fingerprints import record_base, record_data
from animelm.provenance.record import DataRole
from animelm.train.adapter_record import RunRecord
from animelm.train.optimizer import OptimizerSettings
from animelm.train.settings import ModelSettings

OTHERWISE = "or start a new run from that run's adapter (--model.adapter.init_from)"
DATA = "data"  # stands for the content of all data
# Without them every step would mean something else, or held-out questions could be trained on.
_CHANGEABLE = frozenset(
    {
        "trainer.max_epochs",
        "trainer.max_steps",
        "trainer.limit_train_batches",
        "trainer.gradient_clip_val",
        "trainer.gradient_clip_algorithm",
        "model.compute.dtype",
        "model.compute.compile_kernels",
        "model.lora.dropout",
        *(
            f"model.optimizer.{name}"
            for name in ("learning_rate", "weight_decay", "beta2", "warmup_share", "final_share")
        ),
    }
)
_TRAINER = (
    "max_epochs",
    "max_steps",
    "overfit_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
)
_DATA = ("epoch", "shares", "block_size", "sources")
_HASH = "the hash of its "


@dataclass(frozen=True)
class TrainingSetup:
    """All that decides the bits of a run, beside the state in its checkpoint.

    Attributes:
        processes: how many train together.
        sharded: whether they share the model (FSDP2).
        settings: options by name, and hashes of what they name.
        trained_on: what decides which data are trained on, by name. The adapter's record says it of
            the whole run.
        blocks_per_batch: blocks of a batch of one process; None if its loader has no blocks.
        accumulated: batches of an optimizer step of one process.
        allowed: names of settings that may differ, see ``AdaptedLM``.
    """

    processes: int
    sharded: bool
    settings: Mapping[str, object]
    trained_on: Mapping[str, object] = field(default_factory=dict)
    blocks_per_batch: int | None = None
    accumulated: int = 1
    allowed: Collection[str] = ()

    @staticmethod
    def of(
        trainer: L.Trainer,
        settings: ModelSettings,
        optimizer: OptimizerSettings,
        dtype: torch.dtype,
        record: RunRecord | None,
        allowed: Collection[str] = (),
    ) -> "TrainingSetup":
        """The setup of a run.

        Args:
            trainer: of the run.
            settings: of its model.
            optimizer: settings of its optimizer.
            dtype: of its products.
            record: what it trains on; None for a base that is trained from scratch.
            allowed: names of settings that may differ from the checkpoint's.
        """
        datamodule, source = getattr(trainer, "datamodule", None), settings.adapter
        blocks = getattr(datamodule, "blocks_per_batch", None)
        limit: object = trainer.limit_train_batches
        if isinstance(limit, int) and blocks:
            # The same for every number of processes that takes the same steps.
            limit = f"{limit * blocks * trainer.world_size} blocks"
        options = {
            **{f"trainer.{name}": getattr(trainer, name) for name in _TRAINER},
            "trainer.limit_train_batches": limit,
            "model.quantization": settings.quantization,
            "model.from_scratch": settings.from_scratch,
            "model.compute.dtype": str(dtype).removeprefix("torch."),
            "model.compute.compile_kernels": settings.compute.compile_kernels,
            **{f"model.lora.{name}": value for name, value in asdict(settings.lora).items()},
            **{f"model.optimizer.{name}": value for name, value in asdict(optimizer).items()},
            "model.adapter.init_mode": source.init_mode if source.init_from else None,
            f"{_HASH}base": _base_hash(settings, record),
            **_data_settings(datamodule),
        }
        if source.init_from and source.init_mode == "stack":
            below = file_hash(source.init_from / WEIGHTS_FILE).hex()
            options[f"{_HASH}frozen adapter"] = below[:12]
        return TrainingSetup(
            trainer.world_size,
            trainer.lightning_module.device_mesh is not None,
            {name: _plain(value) for name, value in options.items()},
            record.trained_on if record else {},
            blocks,
            trainer.accumulate_grad_batches,
            frozenset(allowed),
        )

    @property
    def named_settings(self) -> dict[str, object]:
        """The options alone, without hashes."""
        return {n: value for n, value in self.settings.items() if not n.startswith(_HASH)}

    @property
    def blocks_per_step(self) -> int | None:
        """Blocks of an optimizer step of all processes."""
        own = self.blocks_per_batch
        return None if own is None else own * self.accumulated * self.processes


def require_changeable(allowed: Collection[str]) -> None:
    """Checks names of settings that may differ from the checkpoint's.

    Raises:
        UserError: one of them may not.
    """
    if unknown := sorted(set(allowed) - _CHANGEABLE - {DATA}):
        raise UserError(
            f"model.allowed_changes names {unknown[0]}, which cannot change within a run; expected "
            f"any of {', '.join(sorted(_CHANGEABLE | {DATA}))}"
        )


def _base_hash(settings: ModelSettings, record: RunRecord | None) -> str:
    base = record.base if record else record_base(settings.base)
    parts = [base.config_sha256, base.tokenizer_sha256]
    # A base that is trained from scratch begins with random weights.
    return " ".join(
        part[:12] for part in (parts if record is None else [*parts, base.weights_sha256])
    )


def _data_settings(datamodule: Any) -> dict[str, object]:
    """Settings that decide what an epoch is, and hashes of data that no record names."""
    found = {f"data.{n}": getattr(datamodule, n) for n in _DATA if hasattr(datamodule, n)}
    paths = [source.path for source in getattr(datamodule, "sources", ())]
    for number, path in enumerate(paths):
        role: DataRole = "general_articles" if path.is_dir() else "general_questions"
        found[f"{_HASH}source {number + 1}"] = record_data(role, path).sha256[:12]
    return found


def _plain(value: object) -> object:
    """A value that a checkpoint can hold without code, and compare."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def require_same_settings(state: Mapping[str, Any], own: TrainingSetup) -> None:
    """Compares a run with the one that wrote a checkpoint; allowed changes are warned about.

    Args:
        state: ``settings`` and ``trained_on`` of a ``TrainingSetup``. Settings that an older
            checkpoint does not hold are not compared.
        own: of the run that goes on.

    Raises:
        UserError: they differ in what is not allowed; all differences are listed.
    """
    written, before = state.get("settings", {}), state.get("trained_on", own.trained_on)
    pairs = {name: (written[name], now) for name, now in own.settings.items() if name in written}
    for name in sorted({*before, *own.trained_on}):
        pairs[name] = (before.get(name), own.trained_on.get(name))
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    listed = "\n".join(
        f"  {n}: {was} in the checkpoint, {now} here" for n, (was, now) in changed.items()
    )
    refused = [name for name in changed if _permission(name) not in own.allowed]
    if refused:
        possible = sorted({p for name in changed if (p := _permission(name)) is not None})
        advice = (
            f"; to go on on purpose, add --model.allowed_changes=[{','.join(possible)}]"
            if possible
            else ""
        )
        raise UserError(
            f"the checkpoint was written by a run with other settings:\n{listed}\n"
            f"Resume it with the same, {OTHERWISE}{advice}"
        )
    if changed:
        rank_zero_warn(
            f"the run goes on with other settings than it began with:\n{listed}\nIts result is "
            "that of no unbroken run; with other data, documents may be trained twice or not at all"
        )


def _permission(name: str) -> str | None:
    """The name in ``allowed_changes`` under which a setting may change; None if it may not."""
    if name.startswith(_HASH):
        return None if name.removeprefix(_HASH) in ("base", "frozen adapter") else DATA
    return name if name in _CHANGEABLE else None
