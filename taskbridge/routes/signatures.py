"""What is known of tasks that are not declared here, by what live workers announce: what stands where in a call, and
whether it is safe to shadow."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..announcement import announced, safe_of
from ..clock import Clock
from ..errors import TaskbridgeError
from ..store import Store

log = logging.getLogger("taskbridge")

#: How long what was announced is remembered before it is looked at again, seconds.
TTL_S = 5.0


class Signatures:
    """Knows the positional parameters of announced tasks; those of workers that are gone, until it is asked no more.

    Args:
        store: where they are announced.
        clock: paces the looking.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._positional: dict[str, Sequence[str]] = {}
        self._safe: dict[str, bool] = {}
        self._until_s = float("-inf")

    def __call__(self, task: str) -> Sequence[str]:
        """Return the names of its positional parameters, in their order; none where nobody has announced it."""
        if self._clock.monotonic_s() >= self._until_s:
            self._look()
        return self._positional.get(task, ())

    def safe(self, task: str) -> bool:
        """Whether all live workers that have a task declare it safe to shadow; False where none has it."""
        if self._clock.monotonic_s() >= self._until_s:
            self._look()
        return self._safe.get(task, False)

    def _look(self) -> None:
        self._until_s = self._clock.monotonic_s() + TTL_S
        try:
            workers = announced(self._store)
        except TaskbridgeError as error:
            log.warning("what workers announce is not known and stays as it was: %s", error)
            return
        self._safe = safe_of(workers)
        for worker in workers:
            self._positional.update((task, known.positional) for task, known in worker.known.items())
