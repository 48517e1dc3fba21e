"""One effect per message, in the task's own database: its id and fencing token are written in the same transaction.

The only promise that no engine or store can give: two databases cannot commit together, so the proof that the effect is
there must lie where the effect lies. Works on sqlite3, psycopg, psycopg2 and Django connections.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from .errors import ClaimLost, ConfigError, Signal

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

#: Connections' drivers, and how each writes a parameter.
_MARKS = {"sqlite3": "?", "psycopg": "%s", "psycopg2": "%s", "django": "%s"}

#: PostgreSQL: two sessions that create the same table at once; the second must wait. The number is ours alone.
_ADVISORY_LOCK = "SELECT pg_advisory_xact_lock(7236201)"


class Inbox:
    """The transaction of one message's effect.

    Args:
        message_id: whose effect it is.
        fencing_token: of the claim that runs it.
        connection: a database connection outside of any transaction.

    Raises:
        ConfigError: another kind of connection, or one inside a transaction.
    """

    def __init__(self, message_id: str, fencing_token: int, connection: Any) -> None:
        self._id = message_id
        self._fence = fencing_token
        self._connection = connection
        self._driver = _driver_of(connection)
        self._transaction = ExitStack()
        self._fresh = False

    def __enter__(self) -> bool:
        if _in_transaction(self._driver, self._connection):
            raise ConfigError(
                "the inbox owns its transaction: commit or roll back what is open on this connection first"
            )
        try:
            self._begin()
            self._fresh = self._claim()
        except BaseException as error:
            self._end(error)
            raise
        return self._fresh

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if self._fresh:
            self._end(error)
            return False
        self._end(_Undo())
        return isinstance(error, Exception) and not isinstance(error, Signal | ClaimLost)

    def _claim(self) -> bool:
        """Write our id; if it is there, compare the tokens."""
        mark = _MARKS[self._driver]
        cursor = self._connection.cursor()
        try:
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

    def _begin(self) -> None:
        cursor = self._connection.cursor()
        try:
            if self._driver == "sqlite3":
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute(TABLE)
                return
            if self._driver == "psycopg":
                self._transaction.enter_context(self._connection.transaction())
            elif self._driver == "django":
                self._connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
            if self._missing(cursor):
                cursor.execute(_ADVISORY_LOCK)
                cursor.execute(TABLE)
        finally:
            cursor.close()

    def _missing(self, cursor: Any) -> bool:
        if self._driver == "django" and self._connection.vendor != "postgresql":
            cursor.execute(TABLE)
            return False
        cursor.execute("SELECT to_regclass('taskbridge_inbox')")
        return cursor.fetchone()[0] is None

    def _end(self, error: BaseException | None) -> None:
        """Commit, or roll back when there is an error."""
        if self._driver == "psycopg":
            try:
                self._transaction.__exit__(type(error) if error else None, error, None)
            except _Undo:
                return
        elif self._driver != "sqlite3" or self._connection.in_transaction:
            (self._connection.rollback if error else self._connection.commit)()
        if self._driver == "django":
            self._connection.set_autocommit(True)


class _Undo(Exception):
    """Rolls a transaction back that somebody else opened as a context manager."""


def _driver_of(connection: Any) -> str:
    module = type(connection).__module__.partition(".")[0]
    for cls in type(connection).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in _MARKS:
            return root
    raise ConfigError(f"inbox() takes a connection of {', '.join(_MARKS)}; got one of {module}")


def _in_transaction(driver: str, connection: Any) -> bool:
    if driver == "sqlite3":
        return bool(connection.in_transaction)
    if driver == "django":
        return bool(connection.in_atomic_block)
    status = connection.info.transaction_status
    return int(status) != 0  # IDLE is 0 in libpq. Source: PostgreSQL docs, PQtransactionStatus
