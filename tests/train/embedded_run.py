"""The embedded configs on a few articles and questions, small enough to run often in a test."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import lightning as L
from torch.distributed.tensor import DTensor

from animelm.cli.configs import find_configs
from animelm.cli.trainer import TrainerCLI
from animelm.sample.writer import GENERATED

ROOT = Path(__file__).parent.parent.parent
STEPS = 20
RELEASED_BASE = "released-base"
# Forms in which its experts are held.
QUANTIZATIONS = ["mxfp4", "nf4-double"]
_CALLBACKS = "animelm.train.callbacks"


class Watch(L.Callback):
    """Keeps the loss of every micro-batch and the share of the frozen bytes that lies here."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.frozen_share = 1.0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.losses.append(trainer.callback_metrics["train/loss"].item())
        frozen = [p for p in pl_module.parameters() if not p.requires_grad]
        here = sum((p.to_local() if isinstance(p, DTensor) else p).nbytes for p in frozen)
        self.frozen_share = here / sum(p.nbytes for p in frozen)


def write_sample(folder: Path) -> None:
    """Articles, more blocks than a run takes, so that it ends within one epoch; questions.

    The folders anime and general each receive articles and qa.jsonl.
    """
    for name, count in (("anime", 144), ("general", 32)):
        (folder / name / "articles").mkdir(parents=True)
        for path in sorted((GENERATED / name / "articles").glob("*.md"))[:count]:
            shutil.copy(path, folder / name / "articles")
        records = (GENERATED / name / "qa.jsonl").read_text(encoding="utf-8").splitlines()
        kept = "\n".join(records[:: len(records) // 200])
        (folder / name / "qa.jsonl").write_text(kept + "\n", encoding="utf-8")


def pre_train(
    folder: Path,
    name: str,
    processes: int = 1,
    layer: str | None = None,
    checkpoint: Path | None = None,
    others: Sequence[str] = (),
) -> None:
    """cpt.yaml on the articles, with accumulation, checkpointing and no dropout.

    Args:
        folder: as ``write_sample`` left it; receives ``name`` and a JSON file for each rank.
        name: of this run.
        processes: among which the two blocks of a micro-batch are divided.
        layer: a file in configs/strategy.
        checkpoint: goes on from there.
        others: options that come last.
    """
    callbacks = [
        _callback(f"{_CALLBACKS}.RouterStatistics", every_n_steps=STEPS, folder=folder / name),
        _callback(f"{_CALLBACKS}.AdapterCheckpoint"),
        _checkpoints(folder / name, every_n_train_steps=STEPS // 2),
    ]
    options = [
        f"--data.folder={folder / 'anime' / 'articles'}",
        f"--data.general_folders=[{folder / 'general' / 'articles'}]",
        f"--data.general_records={folder / 'general' / 'qa.jsonl'}",
        "--data.shares={questions: 0, general_articles: 0.2, general_questions: 0}",
        f"--data.cache={folder / 'cache'}",
        "--data.workers=1",
        "--data.block_size=96",
        f"--data.blocks_per_batch={2 // processes}",
        "--model.lora.dropout=0",
        "--model.memory.activation_checkpointing=true",
        "--trainer.accumulate_grad_batches=2",
        f"--trainer.max_steps={STEPS}",
        "--trainer.limit_val_batches=0",
        *others,
    ]
    _fit("cpt.yaml", folder, name, processes, layer, callbacks, options, checkpoint)


def pre_train_released(
    folder: Path, name: str, quantization: str, processes: int = 1, layer: str | None = None
) -> None:
    """Two steps of ``pre_train`` on the base in ``RELEASED_BASE``, in the form asked for."""
    base = folder / RELEASED_BASE
    others = [
        f"--model.base={base}",
        f"--model.quantization={quantization}",
        "--trainer.max_steps=2",
    ]
    pre_train(folder, name, processes, layer, others=others)


def fine_tune(folder: Path, name: str, layer: str, checkpoint: Path | None = None) -> None:
    """sft.yaml in two processes, stacked on the adapter of the run ``layer``, 8-bit states.

    Two steps with dropout, then a few questions.
    """
    callbacks = [
        _callback(f"{_CALLBACKS}.AdapterCheckpoint"),
        _checkpoints(folder / name, every_n_train_steps=1),
    ]
    options = [
        f"--data.records={folder / 'anime' / 'qa.jsonl'}",
        "--data.general_folders=null",
        f"--data.general_records={folder / 'general' / 'qa.jsonl'}",
        "--data.shares={articles: 0, general_articles: 0, general_questions: 0.2}",
        "--data.block_size=128",
        "--data.blocks_per_batch=1",
        "--data.questions_per_set=4",
        "--data.questions_per_batch=2",
        f"--model.adapter.init_from={folder / layer / 'adapter'}",
        "--model.adapter.init_mode=stack",
        # Every process's part of an expert's matrix has 4,096 values and more.
        "--model.lora.rank=32",
        "--model.optimizer.kind=adamw_8bit",
        "--model.generation.max_new_tokens=6",
        "--trainer.max_steps=2",
        "--trainer.val_check_interval=2",
    ]
    _fit("sft.yaml", folder, name, 2, layer, callbacks, options, checkpoint)


def _callback(class_path: str, **settings: object) -> dict:
    return {"class_path": class_path, "init_args": settings}


def _checkpoints(folder: Path, **settings: object) -> dict:
    every = {"dirpath": folder, "filename": "{step}", "save_top_k": -1, **settings}
    return _callback("lightning.pytorch.callbacks.ModelCheckpoint", **every)


def _fit(
    config: str,
    folder: Path,
    name: str,
    processes: int,
    layer: str | None,
    callbacks: list[dict],
    options: list[str],
    checkpoint: Path | None,
) -> None:
    os.chdir(ROOT)  # the configs name the base relative to it
    configs = [f"--config={config}", *([f"--config=strategy/{layer}.yaml"] if layer else [])]
    own = [
        "--trainer.accelerator=cpu",
        f"--trainer.devices={processes}",
        "--trainer.max_epochs=-1",
        f"--trainer.callbacks={json.dumps(callbacks, default=str)}",
        "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={folder / name}",
    ]
    cli = TrainerCLI(find_configs([*configs, *own, *options]), run=False)
    watch, trainer = Watch(), cli.trainer
    trainer.callbacks.insert(0, watch)  # before the router's probe gathers anything
    trainer.fit(cli.model, cli.datamodule, ckpt_path=checkpoint)
    result = {
        "losses": watch.losses,
        "frozen_share": watch.frozen_share,
        "metrics": {key: float(value) for key, value in trainer.callback_metrics.items()},
    }
    (folder / f"{name}.{trainer.global_rank}.json").write_text(json.dumps(result))
