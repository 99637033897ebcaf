"""Logs which experts the routers choose during training."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from animelm.report.pictures import router_heat_map
from animelm.train.callbacks.router.layers import RouterLayers
from animelm.train.callbacks.router.probe import RouterProbe, changed_share, read_probe
from animelm.train.callbacks.router.table import RouterTable
from animelm.train.callbacks.router.window import RouterSummary, RouterWindow
from animelm.train.callbacks.schedule import EveryNSteps
from animelm.train.loggers.run_log import RunLog

TABLE_NAME = "router_statistics.csv"


class RouterStatistics(Callback):
    """Logs each layer's load, entropy and drift every few optimizer steps.

    Only tokens of the training forward pass are counted: no padding, no validation or generation,
    and no recomputation by activation checkpointing (the decoder's own forward pass starts and ends
    the counting, and recomputation calls the layers below it). Batches are summed up to the logging
    step, at which processes are summed once.

    Logs, as means over layers, ``train_router/entropy``, ``chosen_mass``, ``imbalance`` and
    ``dead_experts`` (see :class:`RouterSummary`); the same per layer under
    ``train_router_layers/layer_<i>/``; ``train_router_drift/<text>``, the share of the base model's
    choices on a fixed text that have changed; the picture ``train_router/heat_map``; and all of
    these except the drift in ``router_statistics.csv``. A figure that has been 0 so far, as
    ``dead_experts`` often is, gets no chart. Does nothing in a model without routers.

    Sums and choices stay on the device; the host waits for them once in every period.

    A checkpoint holds the sums since the last logging step and the base's choices. Of several
    processes only the first one's sums are saved; the table's column ``tokens`` gives the number of
    tokens counted.

    Args:
        every_n_steps: logging period in optimizer steps.
        probe: named texts, or a JSON file with an object of them. None uses a default text on anime
            and one on other subjects; an empty dict turns the drift off.
        folder: where the table is written; None uses the trainer's log folder.

    Raises:
        UserError: a setting, the probe file or an existing table is not as expected.
    """

    def __init__(
        self,
        every_n_steps: int = 50,
        probe: dict[str, str] | Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self.schedule = EveryNSteps(every_n_steps)
        self.texts = read_probe(probe)
        self.folder = folder
        self._routers: RouterLayers | None = None
        self._window = RouterWindow(0)
        self._probe: RouterProbe | None = None
        self._base_choices: dict[str, Tensor] = {}
        self._table: RouterTable | None = None
        self._handles: list[RemovableHandle] = []
        self._restored: dict[str, Any] = {}
        self._batch_open = False
        self._recording = False
        self._counted: Tensor | None = None
        self._charted: set[str] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        log_dir = trainer.log_dir  # asked on every process, since it broadcasts
        self._routers = RouterLayers.find(pl_module)
        if self._routers is None:
            return
        self.schedule.start(trainer.global_step)
        self._window = RouterWindow(len(self._routers.routers))
        restored, self._restored = self._restored, {}
        if trainer.is_global_zero:
            self._window.sums = restored.get("window")
        folder = self.folder or (Path(log_dir) if log_dir else None)
        trial = trainer.fast_dev_run  # type: ignore[attr-defined]
        if folder and trainer.is_global_zero and not trial:
            self._table = RouterTable(folder / TABLE_NAME)
            self._table.start(trainer.global_step)
        if self.texts:
            self._start_probe(trainer, pl_module, self._routers, restored)
        self._hook(pl_module, self._routers)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        padding = getattr(batch, "is_padding", None)
        self._counted = None if padding is None else ~padding.flatten()
        self._batch_open = True

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._batch_open, self._counted = False, None
        if self._routers is not None and self.schedule.due(trainer.global_step):
            self._log(trainer, pl_module, self._routers)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._routers is not None and self.schedule.newly_reached(trainer.global_step):
            self._log(trainer, pl_module, self._routers)
        self._unhook()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._unhook()

    def state_dict(self) -> dict[str, Any]:
        sums = self._window.sums
        return {
            "window": None if sums is None else sums.detach().cpu().clone(),
            "probe": self._probe.input_ids if self._probe else {},
            "base_choices": {name: chosen.cpu() for name, chosen in self._base_choices.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict

    def _hook(self, module: nn.Module, routers: RouterLayers) -> None:
        self._handles = [
            routers.decoder.register_forward_pre_hook(partial(self._open, module)),
            # always_call: a forward that fails must not leave the counting open.
            routers.decoder.register_forward_hook(self._close, always_call=True),
        ]
        for row, router in enumerate(routers.routers):
            self._handles.append(router.register_forward_hook(partial(self._record, row)))

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._batch_open = self._recording = False

    def _open(self, module: nn.Module, decoder: nn.Module, args: Any) -> None:
        # Not decoder.training: from_pretrained leaves a frozen base in evaluation mode.
        self._recording = self._batch_open and module.training and torch.is_grad_enabled()

    def _close(self, decoder: nn.Module, args: Any, output: Any) -> None:
        self._recording = False

    def _record(self, row: int, router: nn.Module, args: Any, output: tuple[Tensor, ...]) -> None:
        if self._recording:
            logits, _, indices = output
            self._window.add(row, logits, indices, self._counted)

    def _start_probe(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        routers: RouterLayers,
        restored: dict[str, Any],
    ) -> None:
        self._probe = RouterProbe(self.texts, pl_module.tokenizer)  # type: ignore[arg-type]
        before = restored.get("probe", {})
        # A run that trains the base itself can find the base's choices in its checkpoint alone.
        if before.keys() == self._probe.input_ids.keys() and all(
            ids.equal(before[name]) for name, ids in self._probe.input_ids.items()
        ):
            choices = restored["base_choices"].items()
            self._base_choices = {name: chosen.to(pl_module.device) for name, chosen in choices}
            return
        with trainer.precision_plugin.forward_context():
            self._base_choices = self._probe.base_choices(pl_module, routers)

    def _drift(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, routers: RouterLayers
    ) -> dict[str, Tensor]:
        if self._probe is None:
            return {}
        with trainer.precision_plugin.forward_context():
            now = self._probe.choices(pl_module, routers)
        return {name: changed_share(self._base_choices[name], now[name]) for name in now}

    def _log(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, routers: RouterLayers
    ) -> None:
        sums = self._window.take()
        if sums is None:
            rank_zero_warn("Router statistics: the decoder ran no training forward.")
            return
        sums = trainer.strategy.reduce(sums, reduce_op="sum")
        drift = self._drift(trainer, pl_module, routers)
        # One copy for all figures, so that the host waits for the device once.
        values = torch.cat([sums.flatten(), *(share[None] for share in drift.values())]).cpu()
        summary = RouterSummary.from_sums(values[: sums.numel()].view(sums.shape))
        if not trainer.is_global_zero or summary.tokens == 0:
            return
        shares = dict(zip(drift, values[sums.numel() :].tolist(), strict=True))
        step, log = trainer.global_step, RunLog(trainer.loggers)
        log.figures(self._figures(summary, shares, routers.layers), step)
        title = f"Share of routed choices per expert, step {step}"
        log.picture("train_router/heat_map", router_heat_map(summary.shares.numpy(), title), step)
        if self._table:
            self._table.append(step, routers.layers, summary)

    def _figures(
        self, summary: RouterSummary, drift: Mapping[str, float], layers: Sequence[int]
    ) -> dict[str, float]:
        figures = {f"train_router_drift/{name}": value for name, value in drift.items()}
        for name, values in summary.per_layer().items():
            figures[f"train_router/{name}"] = values.mean().item()
            for layer, value in zip(layers, values.tolist(), strict=True):
                figures[f"train_router_layers/layer_{layer:02d}/{name}"] = value
        figures = {name: v for name, v in figures.items() if v or name in self._charted}
        self._charted |= figures.keys()
        return figures
