"""What would be wrong with a migration: where it leads, what else moves the same tasks, and where they go today."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..errors import ConfigError
from ..routes.checks import Landscape, Problem, few, problems, raise_for
from ..routing.table import Table
from .book import Book, Migration
from .changes import with_rules


def refuse(migration: Migration, book: Book, table: Table, landscape: Landscape, *, force: bool) -> None:
    """Refuse a migration that would lead nowhere, at its share of 100 %.

    Args:
        migration: as it would be, at whatever share.
        book: with those that go on.
        table: the routes as they are.
        landscape: what is there.
        force: take what can be insisted on.

    Raises:
        NotSupported: the new side cannot keep what a task asks for.
        ConfigError: anything else; each reason is a line of its own.
    """
    whole = msgspec.structs.replace(migration, share=100.0)
    found = [*_places(whole, landscape), *_overlaps(whole, book, landscape)]
    if not found:
        found = [*_routed(whole, table, landscape), *_ruled(whole, table, landscape)]
    raise_for(found, f"the move of {migration.what} to {migration.target}", force=force)


def refuse_share(migration: Migration, table: Table, landscape: Landscape, *, force: bool) -> None:
    """Refuse a share that nobody would take, or that its rules can no longer have; a lower one is never held up."""
    raise_for(_ruled(migration, table, landscape), f"{migration.share:g} % to {migration.target}", force=force)


def tasks_of(migration: Migration, landscape: Landscape) -> list[str]:
    """Return the tasks that are known and move."""
    return sorted({task for rule in migration.taking for task in landscape.matched(rule)})


def _places(migration: Migration, landscape: Landscape) -> Iterator[Problem]:
    for name in (migration.origin, migration.target):
        try:
            landscape.settings.backend_settings(name)
        except ConfigError as error:
            yield Problem(error)
    if landscape.same(migration.origin, migration.target):
        text = f"{migration.origin} and {migration.target} are one engine on one broker: there is nothing to move"
        yield Problem(ConfigError(text))


def _overlaps(migration: Migration, book: Book, landscape: Landscape) -> Iterator[Problem]:
    """One migration at a time for each task."""
    own = set(tasks_of(migration, landscape))
    for other in book.open:
        if other.id == migration.id:
            continue
        shared = own & set(tasks_of(other, landscape))
        theirs = msgspec.structs.replace(other, share=100.0).taking
        alike = any(one.shadows(two) or two.shadows(one) for one in migration.taking for two in theirs)
        if shared or alike:
            named = f": {few(list(shared))}" if shared else ""
            yield Problem(ConfigError(f"{other} goes on, and moves some of the same{named}; finish it first"))


def _routed(migration: Migration, table: Table, landscape: Landscape) -> Iterator[Problem]:
    """Tasks that are not on the old side today."""
    elsewhere: dict[str, list[str]] = {}
    for rule in migration.taking:
        for task, known in landscape.matched(rule).items():
            if known is None:
                continue
            matching = [one for one in table.rules if one.share > 0 and one.matches(task, known.queue, known.tags)]
            whole = next((one.to for one in matching if one.share >= 100), landscape.settings.backend)
            shares = landscape.settings.shares.get(task)
            goes_to = {whole, *(one.to for one in matching if one.share < 100), *(shares.to if shares else ())}
            for name in goes_to - {migration.origin}:
                if not landscape.same(name, migration.origin):
                    elsewhere.setdefault(name, []).append(task)
    for name, tasks in elsewhere.items():
        text = f"{few(list(dict.fromkeys(tasks)))} go to {name} today, or a share of them"
        yield Problem(ConfigError(text), forcible=True)


def _ruled(migration: Migration, table: Table, landscape: Landscape) -> Iterator[Problem]:
    wanted = with_rules(table, migration)
    for rule in migration.taking:
        yield from problems(wanted, rule, table.like(id=rule.id), landscape)
