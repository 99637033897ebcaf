"""Trains as two processes with each half of the batches; run by test_router_stats.py.

Usage: train_two_processes.py FOLDER
"""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.strategies import DDPStrategy
from tiny_run import PROBE, TinyModule, make_batch, make_trainer
from torch.utils.data import DataLoader, DistributedSampler

from animelm.train.callbacks import RouterStatistics, Throughput

if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    batches = [make_batch(seed, padding=seed) for seed in range(4)]
    strategy = DDPStrategy(
        start_method="fork", process_group_backend="gloo", find_unused_parameters=True
    )
    folder = Path(sys.argv[1])
    trainer = make_trainer(
        folder,
        [RouterStatistics(every_n_steps=2, probe=PROBE), Throughput()],
        devices=2,
        strategy=strategy,
        use_distributed_sampler=False,
    )
    sampler = DistributedSampler(batches, num_replicas=2, rank=0, shuffle=False)

    class Halves(TinyModule):
        """Gives each process its own half."""

        def train_dataloader(self) -> DataLoader:
            sampler.rank = self.global_rank
            return DataLoader(batches, batch_size=None, sampler=sampler)

    trainer.fit(Halves())
    supervised = trainer.callback_metrics["train/supervised_tokens"]
    print(f"supervised tokens of the last step: {supervised:.0f}")
