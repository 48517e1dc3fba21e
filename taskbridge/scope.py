"""Where what is enqueued here belongs: to the run whose chunk is running, to a batch that is being filled.

In a scope with a seed the same call has the same id, so that what is repeated after a kill enqueues nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .needs import ALONE, Within


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs together.

    Args:
        seed: what ids are made from; random ones without.
        within: what counts the messages.
    """

    seed: str = ""
    within: Within = ALONE

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


@contextmanager
def inside(scope: Scope) -> Iterator[None]:
    """Make everything that is enqueued in the block belong there."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
