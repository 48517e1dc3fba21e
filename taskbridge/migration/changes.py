"""Change the book of migrations, and the route table after it.

The book is written first, as what is meant; then the route table; then the book says that the table holds it. Whoever
dies in between leaves a migration that is not ``held``, which the relay sets in the table within a second. Whoever
writes the table reads the book once more in that step, so a share that was taken back is never raised by an older word.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..errors import ConfigError
from ..routes import changes as routes
from ..routing.rules import Rule
from ..routing.table import Table
from ..store import Store
from ..store.versions import Version
from ..versioning import Changed, Kind, newest
from ..versioning import change as change_document
from .book import STOPPED, Book, Migration, Step, decode, encode

#: The document in the store.
MIGRATIONS = Kind(
    what="migrations",
    shown_by="taskbridge migrate status",
    place=lambda store: store.migrations,
    encode=encode,
    decode=decode,
)


def book_now(store: Store) -> tuple[Version, Book]:
    """Return the newest version, and the book in it; raises as ``versioning.newest``."""
    return newest(MIGRATIONS, store)


def change(store: Store, wanted: Callable[[Book], Book], *, who: str, note: str = "") -> Changed[Book]:
    """Write what is wanted of the book; raises as ``versioning.change``."""
    return change_document(MIGRATIONS, store, wanted, who=who, note=note)


def move(store: Store, id: str, wanted: Callable[[Migration], Migration], *, who: str, note: str = "") -> Migration:
    """Change one migration, and set its share in the route table.

    Args:
        store: where both are.
        id: its name; empty is the only one that goes on.
        wanted: what it is to be, of what it is.
        who: changes it.
        note: why.

    Raises:
        ConfigError: what ``wanted`` refuses, or there is no such migration.
        StoreUnavailable: it may be meant and not hold yet; the relay sets what is meant.
    """
    moved: list[Migration] = []

    def with_it(book: Book) -> Book:
        moved[:] = [wanted(book.one(id))]
        return book.moved(moved[0])

    change(store, with_it, who=who, note=note)
    return hold(store, moved[0], who=who, note=note)


def hold(store: Store, migration: Migration, *, who: str, note: str = "") -> Migration:
    """Set a migration's rules in the route table, as it is meant, and say in the book that they are there.

    Of one that has gone on since, nothing is set: whoever took the later step does it, or the relay.
    """
    if migration.held:
        return migration

    def meant(table: Table) -> Table:
        # Read after the table's version: a step taken from here on writes the table anew, and this is asked again.
        same = any(one == migration for one in book_now(store)[1].migrations)
        return with_rules(table, migration) if same else table

    routes.change(store, meant, who=who, note=note or f"{migration.id}: a step", anew=True)
    held = msgspec.structs.replace(migration, held=True)

    def holding(book: Book) -> Book:
        same = any(one == migration for one in book.migrations)  # else another has taken the next step
        return book.moved(held) if same else book

    change(store, holding, who=who, note=note)
    return held


def with_rules(table: Table, migration: Migration) -> Table:
    """Return the table with a migration's rules as it has them: where they stand, or last where they are new."""
    own = [rule.id for rule in table.rules if migration.owns(rule.id)]
    if own == [rule.id for rule in migration.rules]:
        return table.with_rules({rule.id: rule for rule in (*table.rules, *migration.rules)}.values())
    others = [rule for rule in table.rules if rule.id not in own]
    place = table.rules.index(table.rule(own[0])) if own else len(others)
    return table.with_rules([*others[:place], *migration.rules, *others[place:]])


def differs(table: Table, migration: Migration) -> str:
    """Return in words how the table's rules are not those that a migration has set; empty where they are."""
    for rule in migration.rules:
        there = table.like(id=rule.id)
        if there is None:
            return f"its rule {rule.id} was taken out of the routes"
        if there != rule:
            return f"its rule {rule.id} was changed to {there}"
    wanted = [rule.id for rule in migration.rules]
    found = [rule.id for rule in table.rules if rule.id in wanted]
    return "" if found == wanted else f"its rules were put in another order: {', '.join(found)}"


def by_hand(store: Store, migration: Migration, why: str, *, who: str) -> bool:
    """Stop a migration whose rules somebody has changed in the route table: those hold, and theirs is its share.

    Returns whether it did: not where the migration has gone on since it was looked at.
    """
    _, table = routes.table_now(store)

    def stopped(book: Book) -> Book:
        if migration not in book.migrations or not differs(table, migration):
            return book
        share = min(_left(table, rule) for rule in migration.taking)
        step = Step(at_ms=store.now_ms(), who=who, what=STOPPED, share=share, why=why)
        return book.moved(migration.after(step, state="paused" if share else "taken back", held=True))

    return change(store, stopped, who=who, note=why).written


def _left(table: Table, rule: Rule) -> float:
    """The share that a rule has in a table: none where it leads elsewhere, or stands behind what takes all."""
    there = table.like(id=rule.id, to=rule.to)
    if there is None or any(one.shadows(there) for one in table.rules[: table.rules.index(there)]):
        return 0.0
    return there.share


def refuse_ended(migration: Migration) -> None:
    """Refuse to move what is over.

    Raises:
        ConfigError: it is.
    """
    if migration.ended:
        raise ConfigError(f"{migration} is {migration.state}; `taskbridge migrate start` begins another")
