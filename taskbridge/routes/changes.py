"""Change the route table, by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from ..routing.table import Table, decode, encode
from ..store import Store
from ..store.versions import Version
from ..versioning import Changed, Kind, content, newest, older
from ..versioning import change as change_document

#: The document in the store that producers read.
ROUTES = Kind(
    what="routes",
    shown_by="taskbridge routes list",
    place=lambda store: store.routes,
    encode=encode,
    decode=decode,
)


def table_now(store: Store) -> tuple[Version, Table]:
    """Return the newest version, and the table in it; raises as ``versioning.newest``."""
    return newest(ROUTES, store)


def table_of(version: Version) -> Table:
    """Return the table of a version; raises as ``versioning.content``."""
    return content(ROUTES, version)


def version_of(store: Store, version: int) -> Table:
    """Return the table of an older version; raises as ``versioning.older``."""
    return older(ROUTES, store, version)


def change(
    store: Store, wanted: Callable[[Table], Table], *, who: str, note: str = "", anew: bool = False
) -> Changed[Table]:
    """Write what is wanted of the table; as ``versioning.change``."""
    return change_document(ROUTES, store, wanted, who=who, note=note, anew=anew)


def like(before: Table, older: Table) -> Table:
    """Return the table with the rules and shadows of an older one; no rule's name is given twice."""
    return Table(rules=older.rules, shadows=older.shadows, named=max(before.named, older.named))
