"""The Celery backend: Celery's messages on any broker that it can stand on, and what runs them inside its hooks."""

from __future__ import annotations

from typing import Any

from taskbridge.backend import Place, Runner
from taskbridge.broker import OnBroker
from taskbridge.definition import Definitions
from taskbridge.native import Inventory

from .brokers import KINDS


class CeleryBackend(OnBroker):
    """Celery's messages.

    ``conf`` is a team's own Celery configuration, such as ``{"result_backend": ...}``: set where tasks are declared.

    Args:
        place: its name, its broker's URL, and the namespace of our own keys.

    Raises:
        ConfigError: a broker URL of a kind that Celery does not stand on here.
    """

    engine = "celery"

    def __init__(self, place: Place) -> None:
        super().__init__(place, KINDS)
        self.conf: dict[str, Any] = {}

    def runner(self, definitions: Definitions) -> Runner:
        from .worker import CeleryRunner

        return CeleryRunner(self.place, self.conf, definitions)

    def inventory(self) -> Inventory:
        from .inventory import tasks

        return Inventory(tasks=tuple(tasks()), settings=tuple(f"conf[{name!r}]" for name in self.conf))
