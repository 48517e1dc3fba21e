"""Keep migrations going: set in the routes what is meant, raise what ramps, take back what is worse.

One keeper works at a time, in the relay that leads; another goes on from the book. Spans are milliseconds.
"""

from __future__ import annotations

import logging

from ..announcement import announced
from ..enqueue import Sender
from ..routes.changes import table_of
from ..routes.checks import Landscape
from ..routing.table import EMPTY, Table
from ..versioning import content
from .book import Book, Migration
from .changes import MIGRATIONS, by_hand, differs, hold, move
from .checks import tasks_of
from .ramp import Seen, decide
from .sides import evidence_of

log = logging.getLogger("taskbridge.relay")

#: How often a ramp is looked at: as often as a slice of evidence is whole.
LOOK_MS = 10_000

#: For how long tasks are watched from each look on: gatherers ask each five seconds.
WATCH_MS = 60_000

#: Who takes the steps of a ramp.
WHO = "the relay"


class MigrationKeeper:
    """Looks after all migrations of a namespace.

    Args:
        sender: whose store, settings and backends.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._store = sender.store()
        self._known = -1
        self._book = Book()
        self._routes = 0, EMPTY
        self._looked_ms: dict[str, int] = {}
        self._unserved_since_ms: dict[str, int] = {}

    def __call__(self) -> int:
        """Do what is to be done now; returns how many steps were taken."""
        self._read()
        return sum(map(self._keep, self._book.open)) + sum(map(self._end, self._book.migrations))

    def _read(self) -> None:
        """Read the book where it has changed; of one that a newer release wrote nothing is touched here."""
        found = self._store.migrations.read(self._known)
        if found is not None:
            self._known, self._book = found.version, Book()
            self._book = content(MIGRATIONS, found)

    def _end(self, migration: Migration) -> bool:
        """Set in the routes what an ended migration left there, where whoever ended it could not."""
        if not migration.ended or migration.held:
            return False
        hold(self._store, migration, who=WHO)
        return True

    def _keep(self, migration: Migration) -> bool:
        if not migration.held:
            hold(self._store, migration, who=WHO)
            log.info("%s: the routes have its %g %% now", migration, migration.share)
            return True
        why = differs(self._table(), migration)
        if why and not migration.stopped_by(why):
            stopped = by_hand(self._store, migration, why, who=WHO)
            if stopped:
                log.warning("%s stops: %s", migration, why)
            return stopped
        now_ms = self._store.now_ms()
        if now_ms - self._looked_ms.get(migration.id, 0) < LOOK_MS:
            return False
        self._looked_ms[migration.id] = now_ms
        return self._look(migration, now_ms)

    def _look(self, migration: Migration, now_ms: int) -> bool:
        """Have its tasks watched, and let a ramp go on."""
        landscape = self._landscape()
        tasks = tasks_of(migration, landscape)
        self._store.evidence.watch(dict.fromkeys(tasks, now_ms + WATCH_MS))
        if migration.state != "ramping" or migration.ramp is None:
            return False
        seen = Seen(
            now_ms=now_ms,
            evidence=evidence_of(self._store, migration, tasks, landscape, now_ms) if migration.ramp.at >= 0 else None,
            unserved_since_ms=self._unserved(migration, landscape, now_ms),
        )
        after = decide(migration, migration.ramp, seen, WHO)
        if after is None:
            return False
        step = after.steps[-1]
        say = log.warning if step.what == "taken back" else log.info
        say("%s: %s, %g %%: %s", migration, step.what, step.share, step.why)
        move(self._store, migration.id, lambda now: after if now == migration else now, who=WHO, note=step.why[:500])
        return True

    def _table(self) -> Table:
        """The route table, read where it has changed."""
        found = self._store.routes.read(self._routes[0])
        if found is not None:
            self._routes = found.version, table_of(found)
        return self._routes[1]

    def _unserved(self, migration: Migration, landscape: Landscape, now_ms: int) -> int:
        """Since when no live worker is seen to serve the new side; 0 where one is, or none is to be seen."""
        if migration.unserved or landscape.serving(migration.target):
            self._unserved_since_ms.pop(migration.id, None)
            return 0
        return self._unserved_since_ms.setdefault(migration.id, now_ms)

    def _landscape(self) -> Landscape:
        sender = self._sender
        workers = announced(self._store)
        return Landscape(settings=sender.settings, backend=sender.backend, workers=workers, definitions={})
