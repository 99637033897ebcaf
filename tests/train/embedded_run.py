"""The embedded CPT config on a few articles, small enough to run several times in a test."""

import json
import os
import shutil
from pathlib import Path

import lightning as L
from torch.distributed.tensor import DTensor

from animelm.cli.configs import find_configs
from animelm.cli.trainer import TrainerCLI
from animelm.sample.writer import GENERATED

ROOT = Path(__file__).parent.parent.parent
STEPS = 20


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


def write_articles(folder: Path) -> None:
    """Twelve articles: more blocks than a run takes, so that it ends within one epoch."""
    for name, count in (("anime", 8), ("general", 4)):
        (folder / name).mkdir()
        for path in sorted((GENERATED / name / "articles").glob("*.md"))[:count]:
            shutil.copy(path, folder / name)


def _callbacks(folder: Path) -> list[dict]:
    ours, checkpoints = "animelm.train.callbacks", "lightning.pytorch.callbacks.ModelCheckpoint"
    return [
        {
            "class_path": f"{ours}.RouterStatistics",
            "init_args": {"every_n_steps": STEPS, "folder": str(folder)},
        },
        {"class_path": f"{ours}.AdapterCheckpoint"},
        {
            "class_path": checkpoints,
            "init_args": {
                "dirpath": str(folder),
                "filename": "{step}",
                "every_n_train_steps": STEPS // 2,
                "save_top_k": -1,
            },
        },
    ]


def train(
    folder: Path,
    name: str,
    processes: int = 1,
    layer: str | None = None,
    *options: str,
    checkpoint: Path | None = None,
) -> Watch:
    """Trains on the articles in ``folder``; writes ``folder/name`` and a JSON file for each rank.

    Args:
        folder: as ``write_articles`` left it.
        name: of this run.
        processes: among which the two blocks of a micro-batch are divided.
        layer: a file in configs/strategy.
        options: further options of the command line.
        checkpoint: goes on from there.
    """
    os.chdir(ROOT)  # the config names the base relative to it
    configs = ["--config=cpt.yaml", *([f"--config=strategy/{layer}.yaml"] if layer else [])]
    own = [
        f"--data.folder={folder / 'anime'}",
        f"--data.replay_folders=[{folder / 'general'}]",
        f"--data.cache={folder / 'cache'}",
        "--data.workers=1",
        "--data.block_size=64",
        f"--data.blocks_per_batch={2 // processes}",
        "--model.dropout=0",
        "--model.activation_checkpointing=true",
        "--trainer.accelerator=cpu",
        f"--trainer.devices={processes}",
        "--trainer.accumulate_grad_batches=2",
        "--trainer.max_epochs=-1",
        f"--trainer.max_steps={STEPS}",
        "--trainer.limit_val_batches=0",
        f"--trainer.callbacks={json.dumps(_callbacks(folder / name))}",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        f"--trainer.default_root_dir={folder / name}",
        f"--trainer.logger.init_args.save_dir={folder}",
        f"--trainer.logger.init_args.name={name}",
    ]
    cli = TrainerCLI(find_configs([*configs, *own, *options]), run=False)
    watch = Watch()
    trainer = cli.trainer
    trainer.callbacks.insert(0, watch)  # before the router's probe gathers anything
    trainer.fit(cli.model, cli.datamodule, ckpt_path=checkpoint)
    result = {"losses": watch.losses, "frozen_share": watch.frozen_share}
    (folder / f"{name}.{trainer.global_rank}.json").write_text(json.dumps(result))
    return watch
