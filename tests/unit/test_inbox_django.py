"""The inbox on Django's connections: its block is an atomic one, of this thread's connection."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from django.db import connections, transaction

from taskbridge.errors import ConfigError

from .databases import KINDS, Database, inbox, kinds


@pytest.fixture(params=[p for p in KINDS if "django" in str(p)])
def of_django(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    for made in kinds(request.param, tmp_path):
        made(made.create)
        yield made


def test_django_blocks_are_atomic(of_django: Database):
    """In it ``atomic`` is a savepoint, and what was registered ``on_commit`` runs after our commit, or never."""
    connection, told = of_django.open(), []

    def tell(fence: int) -> None:
        told.append((fence, of_django.ledger()))

    for fence in (1, 2):
        with inbox(connection, fence):
            of_django.book(connection, 1)
            transaction.on_commit(partial(tell, fence), using=connection.alias)
            with pytest.raises(ValueError, match="inner"), transaction.atomic(using=connection.alias):
                of_django.book(connection, 2)
                raise ValueError("inner")
    of_django.close(connection)

    assert [1] == of_django.ledger()
    assert [(1, [1])] == told


def test_django_inside_atomic_is_refused(of_django: Database):
    """A view's or a test case's transaction could still be rolled back."""
    connection = of_django.open()

    with transaction.atomic(using=connection.alias), pytest.raises(ConfigError, match="owns its transaction"):
        inbox(connection).__enter__()

    of_django.close(connection)


def test_django_connection_of_another_thread_is_refused(of_django: Database):
    """``atomic`` is about this thread's connection; through another one the effect would not be in it."""
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(lambda: connections[of_django.open().alias]).result()

    with pytest.raises(ConfigError, match="of this thread; got another one"):
        inbox(theirs)


def test_django_database_of_another_vendor_is_refused(of_django: Database):
    """Its SQL is another; nothing is tried on it."""
    connection = of_django.open()

    class Elsewhere(type(connections[connection.alias])):  # type: ignore[misc]
        vendor = "oracle"

    with pytest.raises(ConfigError, match="takes Django's connections to SQLite and PostgreSQL; 'x' is one to oracle"):
        inbox(Elsewhere({}, "x"))
