"""One effect per message, in the task's own database: its id and fencing token are written in the same transaction.

The only promise that no engine or store can give: two databases cannot commit together, so the proof that the effect is
there must lie where the effect lies. Works on connections of sqlite3, of psycopg (3), and of Django on either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

from .errors import ClaimLost, ConfigError, Signal, SoftTimeout

#: id is a message's, at most 160 bytes and a hash for longer ones (message.MAX_ID_BYTES).
TABLE = """
CREATE TABLE IF NOT EXISTS taskbridge_inbox (
    message_id VARCHAR(200) PRIMARY KEY,
    fencing_token BIGINT NOT NULL,
    committed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)
"""
INSERT = "INSERT INTO taskbridge_inbox (message_id, fencing_token) VALUES ({0}, {0}) ON CONFLICT DO NOTHING"
SELECT = "SELECT fencing_token FROM taskbridge_inbox WHERE message_id = {0}"

#: Connections by package and class, and how each writes a parameter.
_MARKS = {
    "sqlite3.Connection": "?",
    "psycopg.Connection": "%s",
    "django.ConnectionProxy": "%s",
    "django.BaseDatabaseWrapper": "%s",
}

#: PostgreSQL: two sessions that create the same table at once; the second must wait. The number is ours alone.
_ADVISORY_LOCK = "SELECT pg_advisory_xact_lock(7236201)"


class Inbox:
    """The transaction of one message's effect.

    Args:
        message_id: whose effect it is.
        fencing_token: of the claim that runs it.
        connection: a database connection outside of any transaction.
        ended: ids of messages whose block has ended well in this run; a second block would find its id known and its
            effect would be lost, so it is refused.

    Raises:
        ConfigError: another kind of connection.
    """

    def __init__(self, message_id: str, fencing_token: int, connection: Any, ended: set[str]) -> None:
        self._id = message_id
        self._fence = fencing_token
        self._ended = ended
        self._connection = connection
        self._kind = _kind_of(connection)
        self._fresh = False

    def __enter__(self) -> bool:
        if self._id in self._ended:
            raise ConfigError("a run has one inbox block: put all of its effect in it, or make two tasks of it")
        if _in_transaction(self._kind, self._connection):
            raise ConfigError(
                "the inbox owns its transaction: commit or roll back what is open on this connection first"
            )
        self._transaction = _transaction(self._kind, self._connection)
        self._transaction.__enter__()
        try:
            self._fresh = self._claim()
        except BaseException as error:
            self._end(error)
            raise
        return self._fresh

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._end(error if self._fresh else _Undo())
        passes = isinstance(error, Signal | ClaimLost | SoftTimeout)
        known_and_done = not self._fresh and isinstance(error, Exception) and not passes
        if error is None or known_and_done:
            self._ended.add(self._id)
        return known_and_done

    def _claim(self) -> bool:
        """Write our id; if it is there, compare the tokens."""
        mark = _MARKS[self._kind]
        cursor = _cursor(self._kind, self._connection)
        try:
            _create_table(self._kind, self._connection, cursor)
            cursor.execute(INSERT.format(mark), (self._id, self._fence))
            if cursor.rowcount == 1:
                return True
            cursor.execute(SELECT.format(mark), (self._id,))
            (committed,) = cursor.fetchone()
        finally:
            cursor.close()
        if committed > self._fence:
            raise ClaimLost(f"message {self._id} was begun again since (token {committed} after {self._fence})")
        return False

    def _end(self, error: BaseException | None) -> None:
        """Commit, or roll back when there is an error."""
        if error is None:
            self._transaction.__exit__(None, None, None)
        else:
            self._transaction.__exit__(type(error), error, error.__traceback__)


class _Undo(Exception):
    """Rolls back what ran under a message that is known already."""


def _transaction(kind: str, connection: Any) -> AbstractContextManager[Any]:
    """Return a transaction that begins on entry, and commits or rolls back on exit."""
    if kind == "sqlite3.Connection":
        return _sqlite_transaction(connection)
    if kind == "psycopg.Connection":
        transaction: AbstractContextManager[Any] = connection.transaction()
        return transaction
    from django.db.transaction import atomic

    if connection.vendor == "sqlite":  # before it begins: a first statement that reads could not wait for a writer
        with connection.cursor() as cursor:
            cursor.execute(TABLE)
    outermost: AbstractContextManager[Any] = atomic(using=connection.alias, durable=True)
    return outermost


@contextmanager
def _sqlite_transaction(connection: Any) -> Iterator[None]:
    """In SQL, for ``commit()`` means another thing in each mode of the driver; the savepoint tells if it was called."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("SAVEPOINT taskbridge_inbox")
        yield
        try:
            connection.execute("RELEASE taskbridge_inbox")
        except connection.OperationalError:
            raise ConfigError(
                "the inbox owns its transaction: its block has committed or rolled back by itself"
            ) from None
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _cursor(kind: str, connection: Any) -> Any:
    """Return a cursor whose rows are tuples, whatever the connection's own are."""
    if kind == "psycopg.Connection":
        import psycopg
        from psycopg.rows import tuple_row

        return psycopg.Cursor(connection, row_factory=tuple_row)
    cursor = connection.cursor()
    if kind == "sqlite3.Connection":
        cursor.row_factory = None
    return cursor


def _create_table(kind: str, connection: Any, cursor: Any) -> None:
    if kind == "sqlite3.Connection":
        cursor.execute(TABLE)
    elif kind == "psycopg.Connection" or connection.vendor == "postgresql":
        cursor.execute("SELECT to_regclass('taskbridge_inbox')")
        if cursor.fetchone()[0] is None:
            cursor.execute(_ADVISORY_LOCK)
            cursor.execute(TABLE)


def _kind_of(connection: Any) -> str:
    names = [f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}" for cls in type(connection).__mro__]
    kind = next((name for name in names if name in _MARKS), "")
    if not kind:
        raise ConfigError(f"inbox() takes a connection of sqlite3, psycopg (3) or Django; got a {names[0]}")
    if kind.startswith("django."):
        _check_django(connection)
    return kind


def _check_django(connection: Any) -> None:
    from django.db.transaction import get_connection

    alias, vendor = connection.alias, connection.vendor
    if vendor not in ("sqlite", "postgresql"):
        raise ConfigError(f"inbox() takes Django's connections to SQLite and PostgreSQL; {alias!r} is one to {vendor}")
    if get_connection(alias).creation is not connection.creation:  # then atomic() would be about another one
        raise ConfigError(f"inbox() takes Django's own connection {alias!r} of this thread; got another one")


def _in_transaction(kind: str, connection: Any) -> bool:
    if kind == "sqlite3.Connection":
        return bool(connection.in_transaction)
    if kind == "psycopg.Connection":
        return 1 <= int(connection.info.transaction_status) <= 3  # ACTIVE, INTRANS, INERROR. Source: libpq-fe.h
    return bool(connection.in_atomic_block or not connection.get_autocommit())
