"""The LightningDataModules; a config can name each by its class name alone."""

from animelm.data.datamodules.articles import MarkdownDataModule
from animelm.data.datamodules.mixture import MixtureDataModule
from animelm.data.datamodules.qa import QADataModule

__all__ = ["MarkdownDataModule", "MixtureDataModule", "QADataModule"]
