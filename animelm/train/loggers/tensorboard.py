"""The default logger."""

from collections.abc import Mapping

from lightning.pytorch.loggers import TensorBoardLogger


class RunTensorBoard(TensorBoardLogger):
    """TensorBoard without the ``epoch`` that Lightning adds to everything it logs.

    Its chart would be a flat line or a staircase, between those that one looks for.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({n: value for n, value in metrics.items() if n != "epoch"}, step)
