"""Locks as an operator breaks them."""

from __future__ import annotations

from ..errors import ConfigError
from ..store import Store
from .audit import audited


@audited("locks break", "{key}")
def break_lock(store: Store, key: str, *, who: str = "") -> int:
    """Take a lock from whoever holds it, or for whom it is reserved; returns from how many.

    Raises:
        ConfigError: nobody holds it.
    """
    number = store.waiting.break_lock(key)
    if not number:
        raise ConfigError(f"nobody holds a lock {key!r}; see taskbridge locks list")
    return number
