"""The Dramatiq backend: Dramatiq's messages on any broker it can stand on, and what runs them inside its hooks."""

from __future__ import annotations

from functools import partial
from typing import Any

from taskbridge.backend import Place, Runner
from taskbridge.broker import OnBroker
from taskbridge.definition import Definitions
from taskbridge.native import Inventory

from .brokers import KINDS


class DramatiqBackend(OnBroker):
    """Dramatiq's messages.

    ``middleware`` is a team's own Dramatiq middleware: append to it where the tasks are declared.

    Args:
        place: its name, its broker's URL, and the namespace of our own keys.

    Raises:
        ConfigError: a broker URL of a kind that Dramatiq does not stand on here.
    """

    engine = "dramatiq"

    def __init__(self, place: Place) -> None:
        super().__init__(place, KINDS)
        self.middleware: list[Any] = []

    def runner(self, definitions: Definitions) -> Runner:
        from .native import name_of, sender
        from .worker import DramatiqRunner

        return DramatiqRunner(sender(self, *self.middleware), partial(name_of, self), definitions)

    def inventory(self) -> Inventory:
        from .inventory import tasks

        given = tuple(f"the middleware {type(one).__name__}" for one in self.middleware)
        return Inventory(tasks=tuple(tasks()), settings=given)
