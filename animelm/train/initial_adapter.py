"""What a run starts from: a fresh adapter on the base, or an earlier run's."""

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
from animelm.model.lora.files import read_ancestry

InitMode = Literal["continue", "stack"]


@dataclass(frozen=True)
class Start:
    """The adapters that stand on the base when a run begins.

    Attributes:
        lora: of the adapter that is trained.
        init_adapter: folder of an earlier one; None for a fresh one alone.
        init_mode: continue trains the earlier one; stack trains a fresh one on top of it.
        evaluated_adapter: folder of the one that is loaded, in place of all that, without training.
    """

    lora: LoraSettings
    init_adapter: Path | None = None
    init_mode: InitMode = "continue"
    evaluated_adapter: Path | None = None

    def of_training(self) -> "Start":
        """The same without an adapter that is only evaluated."""
        return replace(self, evaluated_adapter=None)

    @property
    def folder(self) -> Path | None:
        """Of the adapter that is loaded; None where there is none."""
        return self.evaluated_adapter or self.init_adapter

    def require_folder(self) -> None:
        """Looks for the adapter that is loaded, before minutes are spent on loading the base.

        Raises:
            UserError: it is not there.
        """
        setting = "evaluated_adapter" if self.evaluated_adapter else "init_adapter"
        if self.folder is not None and not self.folder.is_dir():
            raise UserError(
                f"{setting} {self.folder}: no such folder; run the step that writes it first, such "
                "as `python -m animelm fit --config cpt.yaml`, or name another with "
                f"--model.{setting}"
            )

    def put_on(self, base: CausalLM) -> PeftModel:
        """The base with its adapters.

        Raises:
            UserError: an adapter does not fit, or a target matches nothing.
        """
        if self.evaluated_adapter:
            return load_adapter(base, self.evaluated_adapter, trainable=False)
        if self.init_adapter is None:
            return add_adapter(base, self.lora)
        if self.init_mode == "stack":
            return stack_adapter(base, self.init_adapter, self.lora)
        return continue_adapter(base, self.init_adapter, self.lora)

    def ancestry(self) -> list[dict[str, str]]:
        """The steps that led to ``init_adapter``, oldest first."""
        return read_ancestry(self.init_adapter) if self.init_adapter else []

    def record(self) -> dict[str, str]:
        """What the ancestry of the trained adapter says of this start."""
        if self.init_adapter is None:
            return {}
        return {"init_adapter": str(self.init_adapter), "init_mode": self.init_mode}
