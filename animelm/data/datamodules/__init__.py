"""The LightningDataModules."""

from animelm.data.datamodules.domain import DomainDataModule
from animelm.data.datamodules.mixture import MixtureDataModule

__all__ = ["DomainDataModule", "MixtureDataModule"]
