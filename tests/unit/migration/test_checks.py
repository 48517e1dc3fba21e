"""What a migration is refused for, where a command line does not reach."""

from __future__ import annotations

from typing import Any

import pytest

from taskbridge.announcement import Announcement
from taskbridge.backend import Capabilities
from taskbridge.config import BackendSettings, Settings, Share
from taskbridge.errors import ConfigError
from taskbridge.migration.book import Book, Migration
from taskbridge.migration.checks import refuse
from taskbridge.routes.checks import Landscape
from taskbridge.routing import Rule, Table

from .conftest import KNOWN, a_migration


class Engine:
    """Keeps everything."""

    name = engine = "dramatiq"
    capabilities = Capabilities()


def landscape(**settings: Any) -> Landscape:
    tasks: dict[str, list[str]] = {task: list(known.positional) for task, known in KNOWN.items()}
    worker = Announcement(
        name="w",
        backends=["celery", "dramatiq"],
        queues=["ledger", "reports", "mail"],
        processes=1,
        tasks=tasks,
        known=KNOWN,
    )
    backend: Any = lambda name: Engine()  # noqa: E731
    made = Settings(**({"backend": "celery", "broker_url": "redis://127.0.0.1:1/0"} | settings))
    return Landscape(settings=made, backend=backend, workers=[worker], definitions={})


def check(
    there: Landscape, migration: Migration | None = None, *rules: Rule, book: Book | None = None, force: bool = False
) -> None:
    refuse(migration or a_migration(), book or Book(), Table(rules=rules), there, force=force)


def test_tasks_that_do_not_go_to_the_old_side_are_told():
    """By a rule, or by a share of the settings. A rule that takes nothing is none; another name is the same place."""
    there = landscape()

    check(there)
    check(there, None, Rule(id="r1", to="dramatiq", task="bank.pay", share=0))
    with pytest.raises(ConfigError, match=r"bank\.pay go to dramatiq today, or a share of them; --force"):
        check(there, None, Rule(id="r1", to="dramatiq", task="bank.pay", share=5))
    check(there, None, Rule(id="r1", to="dramatiq", task="bank.pay", share=5), force=True)
    with pytest.raises(ConfigError, match=r"bank\.report go to dramatiq today"):
        check(landscape(shares={"bank.report": Share(to={"dramatiq": 10.0})}))
    old = BackendSettings(engine="celery", broker_url="redis://127.0.0.1:1/0")
    check(landscape(backend="old", backends={"old": old}))


def test_patterns_of_tasks_that_nobody_knows_overlap_too():
    """A worker that has them may come."""
    other = a_migration(id="m2", tasks=("new.*",))
    book = Book(migrations=(other,))
    for tasks in (("new.pay",), ("*",), ("new.*",)):
        with pytest.raises(
            ConfigError, match=r"m2: task new\.\* from celery to dramatiq goes on, and moves some of the same; f"
        ):
            check(landscape(), a_migration(tasks=tasks), book=book, force=True)


def test_tasks_of_a_queue_and_by_name_overlap():
    """Where they are the same tasks; the names are told."""
    book = Book(migrations=(a_migration(id="m2", tasks=(), queues=("ledger",)),))

    with pytest.raises(ConfigError, match=r"goes on, and moves some of the same: bank\.pay; finish it first"):
        check(landscape(), a_migration(tasks=("bank.pay",)), book=book)

    check(landscape(), a_migration(tasks=("mail.send",)), book=book)
