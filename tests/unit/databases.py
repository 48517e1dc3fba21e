"""Databases of every kind the inbox takes a connection of, each empty but for a ledger."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import django
import psycopg
import pytest
from django.conf import settings
from django.db import connection as default_connection
from django.db import connections

from taskbridge.inbox import Inbox
from tests.servers import missing

POSTGRES = "postgresql://postgres@127.0.0.1/postgres"

T = TypeVar("T")

ENGINES = {"default": "django.db.backends.sqlite3", "postgres": "django.db.backends.postgresql"}


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database of one kind: how to open a connection, close it, and write a parameter."""

    open: Callable[[], Any]
    close: Callable[[Any], None]
    mark: str = "%s"

    def book(self, connection: Any, n: int) -> None:
        """The effect: a row."""
        cursor = connection.cursor()
        cursor.execute(f"INSERT INTO ledger (n) VALUES ({self.mark})", (n,))
        cursor.close()

    def __call__(self, use: Callable[[Any], T]) -> T:
        """Use a connection of its own, in a thread of its own."""

        def run() -> T:
            connection = self.open()
            try:
                return use(connection)
            finally:
                self.close(connection)

        with ThreadPoolExecutor(1) as alone:
            return alone.submit(run).result()

    def ledger(self) -> list[int]:
        """What is committed, as others see it."""

        def read(connection: Any) -> list[int]:
            cursor = connection.cursor()
            cursor.execute("SELECT n FROM ledger ORDER BY n")
            found = [n for (n,) in cursor.fetchall()]
            cursor.close()
            return found

        return self(read)

    def known(self) -> list[tuple[str, int]]:
        """The inbox's own rows."""

        def read(connection: Any) -> list[tuple[str, int]]:
            cursor = connection.cursor()
            cursor.execute("SELECT message_id, fencing_token FROM taskbridge_inbox ORDER BY message_id")
            found = [tuple(row) for row in cursor.fetchall()]
            cursor.close()
            return found

        return self(read)

    def create(self, connection: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE ledger (n INTEGER)")
        cursor.close()
        if isinstance(connection, psycopg.Connection):
            connection.commit()


def sqlite(folder: Path) -> Iterator[Database]:
    def open_one() -> sqlite3.Connection:
        return sqlite3.connect(folder / "bank.sqlite3", isolation_level=None)

    yield Database(open=open_one, close=sqlite3.Connection.close, mark="?")


def postgres() -> Iterator[str]:
    """A schema of its own on the server of this machine, as options of a connection."""
    try:
        server = psycopg.connect(POSTGRES, autocommit=True)
    except psycopg.OperationalError as error:
        missing(f"no PostgreSQL at {POSTGRES}: {error}")
    schema = f"inbox_{uuid.uuid4().hex}"
    with server:
        server.execute(f"CREATE SCHEMA {schema}")
        yield f"-c search_path={schema}"
        server.execute(f"DROP SCHEMA {schema} CASCADE")


def psycopg_3(autocommit: bool) -> Iterator[Database]:
    for options in postgres():
        yield Database(
            open=partial(psycopg.connect, POSTGRES, options=options, autocommit=autocommit),
            close=psycopg.Connection.close,
        )


def set_up_django() -> None:
    """A process has one set of settings, whichever test comes first."""
    if not settings.configured:
        login = {"NAME": "", "HOST": "127.0.0.1", "USER": "postgres"}
        databases = {name: {"ENGINE": engine, **login} for name, engine in ENGINES.items()}
        settings.configure(DATABASES=databases, SECRET_KEY="x")
        django.setup()


def django_on(alias: str, name: str, options: dict[str, Any]) -> Iterator[Database]:
    set_up_django()
    connections.settings[alias] |= {"NAME": name, "OPTIONS": options}
    yield Database(
        open=lambda: default_connection if alias == "default" else connections[alias],
        close=lambda _: connections[alias].close(),
    )


def kinds(kind: str, folder: Path) -> Iterator[Database]:
    if kind == "sqlite":
        yield from sqlite(folder)
    elif kind == "django-sqlite":
        yield from django_on("default", str(folder / "bank.sqlite3"), {})
    elif kind == "django-postgres":
        for options in postgres():
            yield from django_on("postgres", "postgres", {"options": options})
    else:
        yield from psycopg_3(autocommit=kind == "psycopg-autocommit")


NEEDS_POSTGRES = pytest.mark.service("postgres")
KINDS = [
    "sqlite",
    pytest.param("psycopg", marks=NEEDS_POSTGRES),
    pytest.param("psycopg-autocommit", marks=NEEDS_POSTGRES),
    "django-sqlite",
    pytest.param("django-postgres", marks=NEEDS_POSTGRES),
]


def inbox(connection: Any, fence: int = 1, *, id: str = "m") -> Inbox:
    """As ``current().inbox(connection)`` of a run that was begun with this fencing token."""
    return Inbox(id, fence, connection, set())


def is_idle(connection: Any) -> bool:
    """Whether it can begin a transaction of its own again."""
    if isinstance(connection, psycopg.Connection):
        return connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    if isinstance(connection, sqlite3.Connection):
        return not connection.in_transaction
    return not connection.in_atomic_block and bool(connection.get_autocommit())
