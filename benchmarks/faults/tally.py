"""Counts what came of the faults."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Fault:
    """One injected fault and what came of it.

    Attributes:
        name: what was injected.
        failed: what was not as promised.
        lost: whether something that had been written was lost.
        hung: whether a command did not end in time.
        not_bit_exact: whether a run that went on gave other bits than an unbroken one.
        code_ran: whether code of the input ran.
    """

    name: str
    failed: list[str] = field(default_factory=list)
    lost: bool = False
    hung: bool = False
    not_bit_exact: bool = False
    code_ran: bool = False

    def expect(self, holds: bool, told: str) -> bool:
        """Notes a promise that was not kept, and returns whether it was."""
        if not holds:
            self.failed.append(told)
        return holds

    @property
    def is_good(self) -> bool:
        return not (self.failed or self.lost or self.hung or self.not_bit_exact or self.code_ran)


@dataclass
class Tally:
    """All faults; each is reported on the error stream as soon as it is over."""

    faults: list[Fault] = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic)

    def inject(self, name: str, inject: Callable[[Fault], None]) -> None:
        """Injects a fault; an error of the harness itself counts as a failure."""
        fault = Fault(name)
        try:
            inject(fault)
        except Exception as error:
            fault.failed.append(f"{type(error).__name__}: {error}")
        self.faults.append(fault)
        words = [
            name for name in ("lost", "hung", "not_bit_exact", "code_ran") if getattr(fault, name)
        ]
        problems = "; ".join([*words, *fault.failed])
        seconds = time.monotonic() - self.begin
        print(
            f"{len(self.faults):4d} {seconds:7.1f} s  {name}: {problems or 'as promised'}",
            file=sys.stderr,
            flush=True,
        )

    def summary(self) -> str:
        """One line of JSON."""
        counts = {"faults": len(self.faults), "failed": sum(not f.is_good for f in self.faults)}
        for name in ("lost", "hung", "not_bit_exact", "code_ran"):
            counts[name] = sum(getattr(fault, name) for fault in self.faults)
        return json.dumps(counts)
