"""Where the bank keeps its books: SQLite in a file, or PostgreSQL by URL; ``FINTECH_DATABASE_URL`` says which.

Connections are in autocommit: a message's inbox, or ``transaction``, begins and ends a transaction. One connection per
process and thread, opened on first use, so that a forked worker never shares its parent's.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

VARIABLE = "FINTECH_DATABASE_URL"
DEFAULT_URL = "sqlite:///fintech.sqlite3"

#: How long a writer waits for another process's transaction.
BUSY_TIMEOUT_S = 30.0

SCHEMA = Path(__file__).with_name("schema.sql")


class NoDatabase(Exception):
    """The URL names no database that can be used; says why."""


class Database:
    """One connection; SQL is written once, with ``?`` for a parameter.

    Args:
        url: ``sqlite:///path`` or ``postgresql://...``.

    Raises:
        NoDatabase: another kind of URL, its driver is missing, or it does not answer.
    """

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite:///"):
            self.connection: Any = _open_sqlite(url.removeprefix("sqlite:///"))
            self._mark = "?"
        elif url.startswith(("postgresql://", "postgres://")):
            self.connection = _open_postgres(url)
            self._mark = "%s"
        else:
            raise NoDatabase(f"expected a database such as sqlite:///path or postgresql://host/name, got {url!r}")

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        found: list[tuple[Any, ...]] = self.connection.execute(self._spell(sql), parameters).fetchall()
        return found

    def change(self, sql: str, *parameters: object) -> int:
        """Return how many rows a statement has changed."""
        return int(self.connection.execute(self._spell(sql), parameters).rowcount)

    def change_many(self, sql: str, parameters: Iterable[tuple[object, ...]]) -> None:
        """Run one statement for each tuple of parameters."""
        self.connection.cursor().executemany(self._spell(sql), parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE" if self._mark == "?" else "BEGIN")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def create(self, schema: Path = SCHEMA) -> None:
        """Make the tables that are not there yet."""
        for statement in schema.read_text("utf-8").split(";"):
            if statement.strip():
                self.connection.execute(statement)

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()

    def _spell(self, sql: str) -> str:
        return sql if self._mark == "?" else sql.replace("?", self._mark)


def database() -> Database:
    """Return this process's and thread's connection."""
    if _own.process != os.getpid():
        _own.process, _own.database = os.getpid(), Database(os.environ.get(VARIABLE, DEFAULT_URL))
    assert _own.database is not None
    return _own.database


def fresh(url: str, name: str, folder: Path, schema: Path = SCHEMA) -> str:
    """Make an empty database beside the one a URL names, with its tables, and return its URL.

    For SQLite it is a file in the folder; for PostgreSQL a schema of that name (of letters, digits and ``_``) in the
    same database.
    """
    if url.startswith("sqlite:"):
        own = f"sqlite:///{folder / name}.sqlite3"
    else:
        database = Database(url)
        database.change(f'CREATE SCHEMA "{name}"')
        database.close()
        own = f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={name}', safe='')}"
    database = Database(own)
    database.create(schema)
    database.close()
    return own


def remove(url: str, name: str) -> None:
    """Drop what ``fresh`` made in PostgreSQL; a file goes with its folder."""
    if not url.startswith("sqlite:"):
        database = Database(url)
        database.change(f'DROP SCHEMA "{name}" CASCADE')
        database.close()


class _Own(threading.local):
    process = 0
    database: Database | None = None


_own = _Own()


def _open_sqlite(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")  # readers and one writer do not wait for each other
    connection.execute(
        "PRAGMA synchronous = NORMAL"
    )  # safe from a killed process; a power cut may take the last commits
    return connection


def _open_postgres(url: str) -> Any:
    try:
        import psycopg
    except ImportError:
        raise NoDatabase("the driver of PostgreSQL is missing: pip install 'psycopg[binary]'") from None
    try:
        return psycopg.connect(url, autocommit=True)
    except psycopg.OperationalError as error:
        raise NoDatabase(f"there is no PostgreSQL to use: {error}") from None
