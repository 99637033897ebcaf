"""What a run is about to train on, checked against the adapter that it starts from."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

import animelm
from animelm.data.domain import DataPaths
from animelm.data.held_out import SplitSettings
from animelm.data.held_out_list import HELD_OUT_FILE
from animelm.errors import UserError
from animelm.files import write_whole
from animelm.provenance.check import (
    recorded_split,
    require_same_base,
    require_same_data,
    require_same_split,
    without_record,
)
from animelm.provenance.fingerprints import record_base, record_paths
from animelm.provenance.record import (
    BaseRecord,
    DataRecord,
    Setting,
    TrainingStep,
    read_record,
    write_record,
)
from animelm.train.settings import ModelSettings


@dataclass(frozen=True)
class RunRecord:
    """What an adapter's record says of one run, before it has trained.

    Attributes:
        base: the frozen base.
        data: every source of data.
        split: what is held out of them.
        earlier: the steps of the adapter that the run starts from.
        held_out: what is held out by name, as the lines of ``held_out.jsonl``; empty for none.
    """

    base: BaseRecord
    data: tuple[DataRecord, ...]
    split: SplitSettings
    earlier: tuple[TrainingStep, ...]
    held_out: str = ""

    @property
    def trained_on(self) -> dict[str, Setting]:
        """The split settings, and the hash of each kind of data, by name."""
        split = {f"data.{name}": value for name, value in asdict(self.split).items()}
        kinds = {each.role for each in self.data}
        return split | {
            f"the hash of its {kind.replace('_', ' ')}": " ".join(
                each.sha256[:12] for each in self.data if each.role == kind
            )
            for kind in sorted(kinds)
        }

    def write(self, folder: Path, step: str, trained: int, settings: ModelSettings) -> None:
        """Writes the record of the adapter that the run has trained, and what it held out.

        Args:
            folder: of the adapter.
            step: name of the run, such as sft.
            trained: optimizer steps.
            settings: of its model.
        """
        decisive: dict[str, Setting] = {
            "quantization": settings.quantization,
            "compute.dtype": settings.compute.dtype,
            **{
                f"lora.{name}": " ".join(value) if isinstance(value, tuple) else value
                for name, value in asdict(settings.lora).items()
            },
        }
        source = settings.adapter
        own = TrainingStep(
            step,
            animelm.__version__,
            trained,
            self.base,
            self.data,
            self.split,
            decisive,
            str(source.init_from) if source.init_from else None,
            source.init_mode if source.init_from else None,
        )
        write_record(folder, [*self.earlier, own])
        if self.held_out:
            write_whole(folder / HELD_OUT_FILE, self.held_out)


def earlier_steps(settings: ModelSettings, trains: bool) -> tuple[Path | None, list[TrainingStep]]:
    """The adapter that a run loads, and its record; None where there is no adapter."""
    source = settings.adapter.for_training() if trains else settings.adapter
    folder = source.folder
    return folder, list(read_record(folder)) if folder else []


def adopted_split(settings: ModelSettings, trains: bool) -> dict[str, Setting]:
    """The split that the adapter of a run was trained with; empty without an adapter."""
    folder, steps = earlier_steps(settings, trains)
    return recorded_split({folder: steps}) if folder else {}


def check_run(settings: ModelSettings, trainer: L.Trainer) -> RunRecord:
    """Compares a run with the record of the adapter that it loads.

    Training on other data than before is allowed, with a warning; evaluating on them is not.

    Raises:
        UserError: the adapter was trained on another base or with another split, or is evaluated on
            other data.
    """
    trains = trainer.state.fn == TrainerFn.FITTING
    folder, steps = earlier_steps(settings, trains)
    datamodule = getattr(trainer, "datamodule", None)
    paths, split = getattr(datamodule, "paths", None), getattr(datamodule, "split_settings", None)
    base = record_base(settings.base)
    data = record_paths(paths) if isinstance(paths, DataPaths) else ()
    if not isinstance(split, SplitSettings):
        # Data of another kind hold out nothing that we know of: the earlier steps' split remains.
        split = SplitSettings(**cast(dict[str, Any], adopted_split(settings, trains)))
    if folder and not steps:
        rank_zero_warn(without_record(folder))
    if folder and steps:
        require_same_base(folder, steps, base)
        require_same_split(folder, steps, asdict(split))
        try:
            require_same_data(folder, steps, data)
        except UserError as error:
            if not trains:
                raise
            rank_zero_warn(f"{error}. Questions of the earlier data may count as held out here.")
    held_out = getattr(datamodule, "held_out_list", "") if trains else ""
    return RunRecord(base, data, split, tuple(steps), held_out)
