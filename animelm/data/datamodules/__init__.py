"""The LightningDataModules; a config can name each by its class name alone."""

from animelm.data.datamodules.domain import DomainDataModule
from animelm.data.datamodules.mixture import MixtureDataModule

__all__ = ["DomainDataModule", "MixtureDataModule"]
