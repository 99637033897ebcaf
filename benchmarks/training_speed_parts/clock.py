"""Times optimizer steps and notes their losses and the memory."""

import time

from measuring.memory import peak_rss_gib

from training_speed_parts.profiling import StepProfiler
from training_speed_parts.setting import Measured, Run


class StepClock:
    """Notes the end of every optimizer step.

    A step's time runs from the end of the step before it to its own end, so that batching and
    logging count too.

    Args:
        run: says how many steps warm up and how many are timed.
        profiler: where given, watches the timed steps (and slows them down).
    """

    def __init__(self, run: Run, profiler: StepProfiler | None = None) -> None:
        self.run = run
        self.now = time.process_time if run.cpu_time else time.perf_counter
        self._profiler = profiler
        self.import_rss = 0.0
        self.marks: list[float] = []
        self.tokens: list[int] = []
        self.losses: list[float] = []
        self.peak_rss = 0.0

    @property
    def total_steps(self) -> int:
        return self.run.warm_up + self.run.steps

    def imports_ended(self) -> None:
        """To be called when all libraries are imported and nothing is loaded yet."""
        self.import_rss = peak_rss_gib()

    def step_ended(self) -> None:
        """To be called after every optimizer step."""
        self.marks.append(self.now())
        if len(self.marks) == self.run.warm_up and self._profiler:
            self._profiler.start()
        if len(self.marks) == self.total_steps:
            self.peak_rss = peak_rss_gib()
            if self._profiler:
                self._profiler.stop(self.run.steps)

    def result(self, gemm_share: float | None = None) -> Measured:
        """The measured window, after all steps have ended.

        Raises:
            RuntimeError: a loss is not a finite number, or fewer steps ran than were asked for.
        """
        first, last = self.run.warm_up, self.total_steps
        if len(self.marks) < last or len(self.losses) < last:
            raise RuntimeError(f"only {len(self.marks)} of {last} steps ran")
        if not all(abs(loss) < 1e9 for loss in self.losses):
            raise RuntimeError(f"the loss is not finite: {self.losses}")
        seconds = self.marks[last - 1] - self.marks[first - 1]
        return Measured(
            tokens_per_s=sum(self.tokens[first:last]) / seconds,
            peak_rss_gib=self.peak_rss,
            import_rss_gib=self.import_rss,
            losses=self.losses[:last],
            step_s=seconds / (last - first),
            gemm_share=gemm_share,
        )
