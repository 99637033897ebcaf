"""Where a run's adapter comes from: a new one on the base, or an earlier run's."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from peft import PeftModel

from animelm.errors import UserError
from animelm.model.architecture import CausalLM
from animelm.model.lora.adapters import (
    LoraSettings,
    add_adapter,
    continue_adapter,
    load_adapter,
    stack_adapter,
)
from animelm.model.lora.files import CONFIG_FILE, find_adapter

InitMode = Literal["continue", "stack"]


@dataclass(frozen=True)
class AdapterSource:
    """Earlier adapters that a run starts from or evaluates.

    Args:
        init_from: Folder of an adapter to start from, such as CPT's adapter for SFT, or of the run
            that wrote it. By default a new adapter is trained.
        init_mode: continue trains the adapter of init_from further. stack freezes it and trains a
            second adapter on top of it.
        evaluate: Folder of the adapter that validate, test and predict load, or of the run that
            wrote it. By default they load the adapter in the folder that output names. null: they
            load the adapter of init_from, and without one they evaluate the base.
    """

    init_from: Path | None = None
    init_mode: InitMode = "continue"
    evaluate: Path | None = None

    def __post_init__(self) -> None:
        for name in ("init_from", "evaluate"):
            if folder := getattr(self, name):
                object.__setattr__(self, name, find_adapter(folder))

    def for_training(self) -> "AdapterSource":
        """The same source, without an adapter that is only evaluated."""
        return replace(self, evaluate=None)

    @property
    def folder(self) -> Path | None:
        """Folder of the adapter that is loaded; None if there is none."""
        return self.evaluate or self.init_from

    def require_folder(self) -> None:
        """Checks that the adapter exists, before minutes are spent on loading the base.

        Raises:
            UserError: it does not exist.
        """
        folder, setting = self.folder, "evaluate" if self.evaluate else "init_from"
        if folder is None or (folder / CONFIG_FILE).is_file():
            return
        problem = f"no {CONFIG_FILE}" if folder.is_dir() else "no such folder"
        raise UserError(
            f"adapter.{setting} {folder}: {problem}; first run the step that writes it, such as "
            "`python -m animelm fit --config cpt.yaml`, or name another folder with "
            f"--model.adapter.{setting}" + (", or another run with --output" * bool(self.evaluate))
        )

    def load_onto(self, base: CausalLM, lora: LoraSettings) -> PeftModel:
        """Adds the adapters to a base.

        Args:
            base: is changed in place.
            lora: shape of the adapter that is trained.

        Raises:
            UserError: an adapter does not fit the base, or a target matches nothing.
        """
        if self.evaluate:
            return load_adapter(base, self.evaluate, trainable=False)
        if self.init_from is None:
            return add_adapter(base, lora)
        if self.init_mode == "stack":
            return stack_adapter(base, self.init_from, lora)
        return continue_adapter(base, self.init_from, lora)
