"""A lock on a task: its key, and what becomes of a message while another holds it. Pure; the store says who has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import ConfigError
from ..needs import NeedsLock
from .key import fields_in, key_of, names_in

OnConflict = Literal["wait", "skip", "fail"]


@dataclass(frozen=True, slots=True)
class Lock:
    """At most one run at a time per key, over all tasks of the namespace, all workers, both engines.

    Args:
        key: a template of the task's arguments, such as ``user:{user_id}``.
        on_conflict: while another holds it, ``wait`` in the store, first come, first served; ``skip``: end here, unrun;
            or ``fail``: a failed attempt, judged by the task's ``retry``. Defaults to ``wait``.
        at_most: how many may hold it at a time. Defaults to 1.

    Raises:
        ConfigError: an empty key, an unknown word, or ``at_most`` below 1; a key that names no argument of the task,
            when the task is declared.
    """

    key: str
    on_conflict: OnConflict = "wait"
    at_most: int = 1

    def __post_init__(self) -> None:
        if not str(self.key).strip() or "\n" in str(self.key):
            raise ConfigError(f"lock: expected a key such as 'user:{{user_id}}', got {self.key!r}")
        if self.on_conflict not in get_args(OnConflict):
            raise ConfigError(f"lock: on_conflict: expected wait, skip or fail, got {self.on_conflict!r}")
        if type(self.at_most) is not int or self.at_most < 1:
            raise ConfigError(f"lock: at_most: expected 1 or more, got {self.at_most!r}")

    def fields(self) -> list[str]:
        """The arguments that its key names."""
        return fields_in(self.key)

    def check(self, arguments: Collection[str], task: str) -> None:
        """Refuse a key that the task's arguments cannot fill.

        Raises:
            ConfigError: it names one that the task does not have, or more than names.
        """
        names_in(self.key, arguments, f"{task}: lock")

    def need(self, values: Mapping[str, Any]) -> NeedsLock:
        """What a claim with these arguments must have."""
        return NeedsLock(key_of(self.key, values), self.on_conflict, self.at_most)
