"""A scope that is made when somebody looks at it: most runs tell Sentry nothing, and forks of two cost them 8 µs.

Touches of the SDK that its documentation does not name: ``Scope.__slots__``; ``tests/unit/observe/sentry`` holds that
what is done to such a scope is what is done to its fork.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from sentry_sdk.scope import Scope


class Lazy(Scope):
    """A fork of a scope, from the first look at it on.

    Args:
        around: what it is forked from.
    """

    __slots__ = ("_made", "around")

    def __init__(self, around: Scope) -> None:
        self.around = around
        self._made: Scope | None = None

    def made(self) -> Scope:
        """Return the fork."""
        if self._made is None:
            made = self._made = self.around.fork()
            self.prepare(made)
        return self._made

    def prepare(self, scope: Scope) -> None:
        """Add to the fork what it has for itself."""

    def __copy__(self) -> Scope:
        return copy(self.made())


def _of_the_made(name: str) -> Any:
    def get(self: Lazy) -> Any:
        return getattr(self.made(), name)

    def put(self: Lazy, value: Any) -> None:
        setattr(self.made(), name, value)

    return property(get, put)


for _name in Scope.__slots__:
    setattr(Lazy, _name, _of_the_made(_name))
