"""Move the bank from Celery to Dramatiq and back, and over again, while its import runs: ``make demo MIGRATE=1``.

Each step is a command that an operator would type. What each engine has run is counted from what its processes have
written down themselves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from .process import ProcessFailed, answer
from .tasks import hello
from .watch import STAGES

OLD, NEW = "celery", "dramatiq"

#: Which share is set when so much of the bookings is done: there and back, and there for good.
STEPS = ((0.0, 0), (0.05, 1), (0.15, 10), (0.3, 50), (0.45, 100), (0.6, 50), (0.7, 0), (0.8, 100))

#: How long a worker may take until it is seen on both engines, seconds.
START_S = 60.0

#: The stage that the steps go by.
BOOKED = list(STAGES).index("rows booked")

#: Told how far the stages are, what each engine has run, and the share.
ShowSides = Callable[[tuple[int, ...], Mapping[str, int], float], None]


class Mover:
    """Takes the steps of one migration.

    Args:
        environment: of the commands.
        measures: the folder that the worker's processes write to.
        bookings: how many there will be.
        show: is shown where it stands.
        say: is told each command.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        measures: Path,
        bookings: int,
        show: ShowSides,
        say: Callable[[str], None],
    ) -> None:
        self._environment = environment
        self._sides = Sides(measures)
        self._bookings = bookings
        self._show = show
        self._say = say
        self._steps = list(STEPS)
        self._share = 0.0

    def begin(self) -> None:
        """Begin the migration as soon as the worker is seen."""
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                self._migrate("start", "--from", OLD, "--to", NEW)
            except ProcessFailed:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.2)
            else:
                return

    def __call__(self, counts: tuple[int, ...]) -> None:
        """Take the step whose time has come, and show how it stands."""
        while self._steps and counts[BOOKED] >= self._bookings * self._steps[0][0]:
            _, share = self._steps.pop(0)
            self._migrate("share", str(share))
            self._share = share
        self._show(counts, self._sides.ran(), self._share)

    def end(self) -> dict[str, int]:
        """Finish the migration; returns what each engine has run."""
        self._migrate("finish")
        return self._sides.ran()

    def _migrate(self, *words: str) -> None:
        answer(["taskbridge", "migrate", *words], self._environment)
        self._say(f"$ taskbridge migrate {' '.join(words)}")


class Sides:
    """Counts what each engine has run, of files that grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._ran = Counter({OLD: 0, NEW: 0})

    def ran(self) -> dict[str, int]:
        """How many runs came to an end on each engine, the greeting's aside."""
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.decode("ascii").splitlines():
                kind, task, _, backend = line.split()
                self._ran[backend] += kind == "ran" and task != hello.name
        return dict(self._ran)
