"""Where what is enqueued here belongs: to the run whose chunk is running, to a batch that is being filled.

In a scope with a seed the same call has the same id, so that what is repeated after a kill enqueues nothing twice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass

from .needs import ALONE, Within


@dataclass(slots=True)
class Unsent:
    """How many messages a shadow's copy would have sent; none of them is."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs together.

    Args:
        seed: what ids are made from; random ones without.
        within: what counts the messages.
        unsent: counts them in place of sending them, in a shadow. Defaults to sending them.
    """

    seed: str = ""
    within: Within = ALONE
    unsent: Unsent | None = None

    def id_of(self, task: str, call: bytes) -> str:
        """Return the id of a call in a scope with a seed: 128 bits of a hash.

        Args:
            task: its name.
            call: what tells this call from others: its canonical arguments, or the caller's key.
        """
        import hashlib

        whole = b"\0".join((self.seed.encode(), task.encode(), call))
        return hashlib.sha256(whole).hexdigest()[:32]


#: What belongs nowhere, under ids of its own.
NOWHERE = Scope()

_scope: ContextVar[Scope] = ContextVar("taskbridge_scope", default=NOWHERE)


def scope() -> Scope:
    """Return where what is enqueued here belongs."""
    return _scope.get()


class inside(AbstractContextManager[None]):  # noqa: N801 - a generator would take four times as long
    """Make everything that is enqueued in the block belong there."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._token = _scope.set(self._scope)

    def __exit__(self, *_: object) -> None:
        _scope.reset(self._token)
