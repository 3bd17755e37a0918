"""What a batch run touches the world through: the lake, where units run, the clock, and what is set for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from seamline.clock import Clock, system_clock
from seamline.config import BatchSection, KernelSection
from seamline.jobs.unit import Runner, UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.kernel import Kernel
from seamline.lake import Lake

Progress = Callable[[int, int], None]
"""Units done, units in all."""


@dataclass(frozen=True)
class Resources:
    """Passed to every step of a run; no step's value holds it, so that a run may go on with others."""

    lake: Lake
    """The ledger, raw, and the files of versions."""

    runner: Runner | None = None
    """Where units run; None: in this process."""

    settings: BatchSection = field(default_factory=BatchSection)  # type: ignore[arg-type]
    """How long reservations last, how much of a version is verified, whether drift holds it."""

    kernel: KernelSection = field(default_factory=KernelSection)  # type: ignore[arg-type]
    """Memory and threads of each kernel."""

    clock: Clock = system_clock
    """The time, for whatever depends on it."""

    progress: Progress | None = None
    """Told how many units are done."""

    @property
    def engine(self) -> Kernel:
        """The driver's kernel."""
        return self.lake.kernel(self.kernel.memory, self.kernel.threads)

    def run_units(self, tasks: Sequence[UnitTask], done: int = 0, total: int = 0) -> Iterable[UnitResult]:
        """Gives tasks to the runner and says how far they are; `done` of `total` are so before them."""
        runner = self.runner or local_runner(self.lake)
        for number, result in enumerate(runner(list(tasks)) if tasks else (), start=done + 1):
            if self.progress and total:
                self.progress(number, total)
            yield result
