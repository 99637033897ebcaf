"""Which process this is."""

import lightning as L


def rank_and_world_size(module: L.LightningDataModule) -> tuple[int, int]:
    """The trainer's process number and number of processes; ``(0, 1)`` without a trainer."""
    trainer = module.trainer
    return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
