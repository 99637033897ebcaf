"""The rank of this process."""

import lightning as L


def rank_and_world_size(module: L.LightningDataModule) -> tuple[int, int]:
    """Rank of this process and number of processes; ``(0, 1)`` without a trainer."""
    trainer = module.trainer
    return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
