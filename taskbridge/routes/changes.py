"""Change the route table: what is wanted is said of the table as it is, and written only if it still is so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..errors import ConfigError, DecodeError, StoreUnavailable
from ..routing.table import EMPTY, Table, decode, encode
from ..store import Store
from ..store.routes import KEPT, RoutesVersion

#: How often a change is tried while others change the table.
TRIES = 20

#: Most characters of a note, and of who wrote it.
LONGEST_NOTE = 500

#: Says what the table is to be, of what it is.
Wanted = Callable[[Table], Table]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What a change came to. ``written`` is False where it would have changed nothing."""

    version: int
    before: Table
    table: Table
    written: bool = True


def table_now(store: Store) -> tuple[RoutesVersion, Table]:
    """Return the newest version, and the table in it.

    Raises:
        ConfigError: a newer release wrote it.
        StoreUnavailable: the store is away.
    """
    found = store.routes.read() or RoutesVersion()
    return found, table_of(found)


def table_of(version: RoutesVersion) -> Table:
    """Return the table of a version.

    Raises:
        ConfigError: a newer release wrote it.
    """
    try:
        return decode(version.document)
    except DecodeError as error:
        raise ConfigError(f"version {version.version}: {error}; run the newer release") from None


def change(store: Store, wanted: Wanted, *, who: str, note: str = "") -> Changed:
    """Write what is wanted of the table, as a version of its own; ``wanted`` is asked again where another was faster.

    Raises:
        ConfigError: what ``wanted`` refuses, a note that is too long, or a table that is too large.
        StoreUnavailable: it may or may not have been written.
    """
    if len(note) > LONGEST_NOTE:
        raise ConfigError(f"note: expected at most {LONGEST_NOTE} characters, got {len(note)}")
    for _ in range(TRIES):
        found, before = table_now(store)
        table = wanted(before)
        if table.rules == before.rules:
            return Changed(version=found.version, before=before, table=before, written=False)
        version = _write(store, found.version, encode(table), who[:LONGEST_NOTE], note)
        if version:
            return Changed(version=version, before=before, table=table)
    raise StoreUnavailable("the routes change all the while; nothing was written, try again")


def version_of(store: Store, version: int) -> Table:
    """Return the table of an older version; that of version 0 is empty.

    Raises:
        ConfigError: it is not kept, or a newer release wrote it.
    """
    if version == 0:
        return EMPTY
    history = store.routes.history(KEPT)
    for found in history:
        if found.version == version:
            return table_of(found)
    kept = f"versions {history[-1].version} to {history[0].version} are kept" if history else "nothing was written yet"
    raise ConfigError(f"there is no version {version} of the routes: {kept}")


def like(before: Table, older: Table) -> Table:
    """Return the table with the rules of an older one; no rule's name is given twice."""
    return before.with_rules(older.rules, named=max(before.named, older.named))


def _write(store: Store, version: int, document: bytes, who: str, note: str) -> int:
    try:
        return store.routes.write(version, document, who=who, note=note)
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"{error}; whether the routes were changed is not known: `taskbridge routes list` tells"
        ) from error
