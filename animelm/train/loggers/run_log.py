"""One log of a run, whatever its loggers are."""

from collections.abc import Collection, Mapping, Sequence

from lightning.pytorch.loggers import Logger

from animelm.train.loggers.table import LogTable
from animelm.train.loggers.writers import Layout, Pixels, Setting, writer_of


class RunLog:
    """Writes what a callback shows into all loggers of the trainer; only the first process may.

    Args:
        loggers: of the trainer.
    """

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = loggers
        self._writers = [writer_of(logger) for logger in loggers]

    def figures(self, values: Mapping[str, float], step: int) -> None:
        """Logs figures by name."""
        for logger in self._loggers:
            logger.log_metrics(dict(values), step=step)

    def picture(self, name: str, pixels: Pixels, step: int) -> None:
        """Logs a picture, [height, width, 3] RGB."""
        for writer in self._writers:
            writer.picture(name, pixels, step)

    def table(self, name: str, table: LogTable, step: int) -> None:
        """Logs a table."""
        for writer in self._writers:
            writer.table(name, table, step)

    def describe(
        self, settings: Mapping[str, Setting], measured: Collection[str], layout: Layout
    ) -> None:
        """Says what a run is, so that it can be compared with others.

        Args:
            settings: its settings by name.
            measured: names of the figures by which runs are compared.
            layout: patterns of names of figures by chart, by group of charts. Loggers without
                charts of several figures leave it out.
        """
        for writer in self._writers:
            writer.describe(settings, measured, layout)
