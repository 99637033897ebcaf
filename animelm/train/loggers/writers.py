"""How each kind of logger takes pictures, tables and settings."""

import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn
from matplotlib.image import imsave
from numpy.typing import NDArray
from torch.utils.tensorboard.summary import hparams

from animelm.files import make_folder, write_whole
from animelm.train.loggers.table import LogTable

Pixels = NDArray[np.uint8]
Setting = str | int | float | bool
Layout = Mapping[str, Mapping[str, Collection[str]]]


class LogWriter(ABC):
    """Writes into one logger; figures go through the logger's own ``log_metrics``.

    Args:
        logger: of the trainer.
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    @abstractmethod
    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        """Writes a picture, [height, width, 3] RGB."""

    @abstractmethod
    def table(self, name: str, table: LogTable, step: int) -> None:
        """Writes a table."""

    def describe(
        self, settings: Mapping[str, Setting], measured: Collection[str], layout: Layout
    ) -> None:
        """Writes what is said of a run as a whole, as ``RunLog`` says."""
        self.logger.log_hyperparams(dict(settings))


class TensorBoardWriter(LogWriter):
    """Images, Text, HParams and Custom Scalars of TensorBoard."""

    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        self.logger.experiment.add_image(name, pixels, step, dataformats="HWC")

    def table(self, name: str, table: LogTable, step: int) -> None:
        self.logger.experiment.add_text(name, table.markdown(), step)

    def describe(
        self, settings: Mapping[str, Setting], measured: Collection[str], layout: Layout
    ) -> None:
        # The logger's own method would log a value of each figure as well.
        file = self.logger.experiment._get_file_writer()  # makes the folder
        self.logger.hparams.update(settings)
        save_hparams_to_yaml(Path(self.logger.log_dir) / "hparams.yaml", self.logger.hparams)
        for summary in hparams(dict(settings), dict.fromkeys(measured, 0.0)):
            file.add_summary(summary)
        charts = {
            group: {chart: ["Multiline", [*names]] for chart, names in charts.items()}
            for group, charts in layout.items()
        }
        self.logger.experiment.add_custom_scalars(charts)


class OwnMethodsWriter(LogWriter):
    """Loggers with Lightning's ``log_image`` and ``log_table``, such as Weights & Biases."""

    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        self.logger.log_image(name, [pixels], step=step)

    def table(self, name: str, table: LogTable, step: int) -> None:
        self.logger.log_table(name, columns=[*table.columns], data=table.texts(), step=step)


class MLflowWriter(LogWriter):
    """MLflow's images, and tables among its artifacts."""

    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        # MLflow takes letters of ASCII and few signs.
        key = re.sub(r"[^a-zA-Z0-9_\-. /]", "_", name)
        self.logger.experiment.log_image(self.logger.run_id, pixels, key=key, step=step)

    def table(self, name: str, table: LogTable, step: int) -> None:
        columns = zip(*table.texts(), strict=True) if table.rows else [()] * len(table.columns)
        data = {name: [*texts] for name, texts in zip(table.columns, columns, strict=True)}
        file = f"{_file_name(name)}/step_{step}.json"
        self.logger.experiment.log_table(self.logger.run_id, data=data, artifact_file=file)


class FilesWriter(LogWriter):
    """Files beside the metrics.csv of a ``CSVLogger``: pictures as PNG, tables as JSON Lines."""

    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        buffer = io.BytesIO()
        imsave(buffer, pixels, format="png")
        write_whole(self._file("pictures", name, f"step_{step}.png"), buffer.getvalue())

    def table(self, name: str, table: LogTable, step: int) -> None:
        rows = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        write_whole(self._file("tables", name, f"step_{step}.jsonl"), lines)

    def _file(self, kind: str, name: str, file: str) -> Path:
        folder = Path(self.logger.log_dir) / kind / _file_name(name)
        make_folder(folder, "trainer.logger's save_dir")
        return folder / file


class FiguresWriter(LogWriter):
    """Any other logger: figures and settings alone."""

    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        self._warn()

    def table(self, name: str, table: LogTable, step: int) -> None:
        self._warn()

    def _warn(self) -> None:
        rank_zero_warn(
            f"{type(self.logger).__name__} gets figures alone; pictures and tables go to "
            "TensorBoard, Weights & Biases, MLflow, and files beside a CSVLogger"
        )


def writer_of(logger: Logger) -> LogWriter:
    """The writer for a logger."""
    kinds: tuple[tuple[type[Logger], type[LogWriter]], ...] = (
        (TensorBoardLogger, TensorBoardWriter),
        (MLFlowLogger, MLflowWriter),
        (CSVLogger, FilesWriter),
    )
    for kind, writer in kinds:
        if isinstance(logger, kind):
            return writer(logger)
    own = all(callable(getattr(logger, name, None)) for name in ("log_image", "log_table"))
    return OwnMethodsWriter(logger) if own else FiguresWriter(logger)


def _file_name(name: str) -> str:
    """A file's name for a tag, such as answers-general for answers/general."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".")
