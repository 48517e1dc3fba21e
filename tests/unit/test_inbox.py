"""The inbox: one effect per message, on every kind of connection it takes."""

from __future__ import annotations

import sqlite3
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from taskbridge.errors import ClaimLost, ConfigError, Drop, Reschedule, Retry, SoftTimeout
from taskbridge.inbox import Inbox

from .databases import KINDS, Database, inbox, is_idle, kinds, sqlite


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    for made in kinds(request.param, tmp_path):
        made(made.create)
        yield made


@pytest.fixture
def connection(database: Database) -> Iterator[Any]:
    made = database.open()
    yield made
    database.close(made)


def test_an_effect_is_committed_once(database: Database, connection: Any):
    """The first run finds its message fresh and commits; every later one finds it known. What follows runs anyway."""
    followed = []

    for fence in (3, 4, 9):
        with inbox(connection, fence) as fresh:
            if fresh:
                database.book(connection, fence)
        followed.append(fresh)

    assert [True, False, False] == followed
    assert [3] == database.ledger()
    assert [("m", 3)] == database.known()
    assert is_idle(connection)


def test_messages_are_apart(database: Database, connection: Any):
    """Another message has an effect of its own, with any token."""
    for id, fence in (("a", 5), ("b", 4), ("c", 5)):
        with inbox(connection, fence, id=id) as fresh:
            assert fresh
            database.book(connection, fence)

    assert [4, 5, 5] == database.ledger()


def test_an_error_leaves_no_trace(database: Database, connection: Any):
    """Effect and id are rolled back together, the error goes on as it was, and the next run is fresh."""
    with pytest.raises(ValueError, match="wrong") as raised, inbox(connection, 1):
        database.book(connection, 1)
        raise ValueError("wrong")

    assert [] == database.ledger()
    assert "database.book(connection, 1)" not in str(raised.value)
    assert "test_an_error_leaves_no_trace" in "".join(traceback.format_tb(raised.value.__traceback__))
    assert is_idle(connection)
    with inbox(connection, 2) as fresh:
        assert fresh
        database.book(connection, 2)
    assert [2] == database.ledger()


@pytest.mark.parametrize("signal", [Retry("later"), Reschedule(5), Drop("no more"), SystemExit(1)])
def test_a_signal_out_of_a_fresh_block_takes_it_back(database: Database, connection: Any, signal: BaseException):
    """A task that says what becomes of it has not had its effect."""
    with pytest.raises(type(signal)), inbox(connection):
        database.book(connection, 1)
        raise signal

    assert [] == database.ledger()
    assert is_idle(connection)


def test_what_a_known_block_does_is_taken_back(database: Database, connection: Any):
    """A body that does not ask whether it is fresh has no second effect."""
    for fence in (1, 2):
        with inbox(connection, fence):
            database.book(connection, 7)

    assert [7] == database.ledger()
    assert is_idle(connection)


def test_an_error_in_a_known_block_is_swallowed(database: Database, connection: Any):
    """It fails because its effect is there already, so the task goes on to what follows."""
    with inbox(connection, 1):
        database.book(connection, 1)

    with inbox(connection, 2):
        connection.cursor().execute("INSERT INTO nowhere VALUES (1)")

    assert [1] == database.ledger()
    assert is_idle(connection)


@pytest.mark.parametrize(
    "raised",
    [Retry("later"), Reschedule(5), Drop("no"), ClaimLost("gone"), SoftTimeout(), KeyboardInterrupt(), SystemExit(1)],
)
def test_a_signal_in_a_known_block_is_heard(database: Database, connection: Any, raised: BaseException):
    """What a task says of itself, a lost claim, a timeout and the process's end are no consequence of the effect."""
    with inbox(connection, 1):
        database.book(connection, 1)

    with pytest.raises(type(raised)), inbox(connection, 2):
        raise raised

    assert [1] == database.ledger()
    assert is_idle(connection)


def test_a_lower_token_has_lost_its_claim(database: Database, connection: Any):
    """A run that was paused while another took its message is refused, whatever it does."""
    with inbox(connection, 9):
        database.book(connection, 9)

    with pytest.raises(ClaimLost, match=r"message m was begun again since \(token 9 after 8\)"), inbox(connection, 8):
        database.book(connection, 8)

    assert [9] == database.ledger()
    assert is_idle(connection)


def test_a_race_has_one_winner(database: Database):
    """Runs of one message that come together, on a database without the table too, commit one effect."""
    racers, rounds = 4, 5

    def race(fence: int) -> list[str]:
        connection, ends = database.open(), []
        try:
            for number in range(rounds):
                start.wait()
                try:
                    with inbox(connection, fence, id=f"m{number}") as fresh:
                        database.book(connection, number)
                    ends.append("fresh" if fresh else "known")
                except ClaimLost:
                    ends.append("lost")
        finally:
            database.close(connection)
        return ends

    start = threading.Barrier(racers, timeout=20)
    with ThreadPoolExecutor(racers) as pool:
        ends = list(pool.map(race, range(1, racers + 1)))

    assert list(range(rounds)) == database.ledger()
    for of_round in zip(*ends, strict=True):
        assert 1 == of_round.count("fresh")
        winner = of_round.index("fresh")
        assert ["lost"] * winner == list(of_round[:winner])
        assert ["known"] * (racers - winner - 1) == list(of_round[winner + 1 :])


def test_a_run_has_one_block(database: Database, connection: Any):
    """A second one would find its id known and lose its effect: it is refused in every run, not only in the first."""
    for fence in (1, 2):
        ended: set[str] = set()
        with Inbox("m", fence, connection, ended):
            database.book(connection, 1)
        with pytest.raises(ConfigError, match="a run has one inbox block"), Inbox("m", fence, connection, ended):
            database.book(connection, 2)

    assert [1] == database.ledger()


def test_a_block_that_failed_may_be_tried_again(database: Database, connection: Any):
    """In the same run: nothing of it is there."""
    ended: set[str] = set()
    with pytest.raises(OSError, match="deadlock"), Inbox("m", 1, connection, ended):
        database.book(connection, 1)
        raise OSError("deadlock")

    with Inbox("m", 1, connection, ended) as fresh:
        assert fresh
        database.book(connection, 2)

    assert [2] == database.ledger()


def test_an_open_transaction_is_refused(database: Database, connection: Any):
    """The inbox has to begin and commit by itself, or its effect could be rolled back after it was told."""
    if isinstance(connection, psycopg.Connection | sqlite3.Connection):
        connection.execute("BEGIN")
    else:
        connection.set_autocommit(False)

    with pytest.raises(ConfigError, match="the inbox owns its transaction: commit or roll back what is open"):
        inbox(connection).__enter__()

    connection.rollback()
    if not isinstance(connection, psycopg.Connection | sqlite3.Connection):
        connection.set_autocommit(True)
    with inbox(connection) as fresh:
        assert fresh


class Cursor:
    """Of another driver."""


@pytest.mark.parametrize("other", [None, object(), Cursor(), sqlite3.connect, "sqlite:///bank"])
def test_another_kind_of_connection_is_refused(other: Any):
    """With what it takes, and what came."""
    with pytest.raises(ConfigError, match=r"^inbox\(\) takes a connection of sqlite3, psycopg \(3\) or Django; got a "):
        inbox(other)


def test_an_asynchronous_connection_is_refused():
    """It cannot commit in a block that does not await."""
    asynchronous = psycopg.AsyncConnection.__new__(psycopg.AsyncConnection)

    with pytest.raises(ConfigError, match=r"got a psycopg.AsyncConnection"):
        inbox(asynchronous)


@pytest.mark.parametrize("isolation_level", [None, "", "DEFERRED", "EXCLUSIVE"])
def test_sqlite_in_every_mode_commits(tmp_path: Path, isolation_level: Any):
    """However the driver begins transactions by itself, the inbox's is its own."""
    for database in sqlite(tmp_path):
        database(database.create)
        connection = sqlite3.connect(tmp_path / "bank.sqlite3", isolation_level=isolation_level)
        for fence in (1, 2):
            with inbox(connection, fence):
                database.book(connection, fence)
        connection.close()

        assert [1] == database.ledger()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since Python 3.12")
def test_sqlite_with_autocommit_commits(tmp_path: Path):
    """Where ``commit()`` of the driver does nothing, ours does."""
    for database in sqlite(tmp_path):
        database(database.create)
        connection = sqlite3.connect(tmp_path / "bank.sqlite3", autocommit=True)  # type: ignore[call-arg]
        with inbox(connection):
            database.book(connection, 1)
        connection.close()

        assert [1] == database.ledger()


@pytest.mark.parametrize("how", ["commit", "rollback", "script"])
def test_a_block_that_ends_the_transaction_itself_is_told(tmp_path: Path, how: str):
    """SQLite does not prevent it; who commits or rolls back inside has broken the promise, and is told so."""
    for database in sqlite(tmp_path):
        database(database.create)
        connection = sqlite3.connect(tmp_path / "bank.sqlite3")

        with pytest.raises(ConfigError, match="its block has committed or rolled back by itself"), inbox(connection):
            database.book(connection, 1)
            connection.executescript("") if how == "script" else getattr(connection, how)()
            database.book(connection, 2)

        assert ([] if how == "rollback" else [1]) == database.ledger()
        assert is_idle(connection)
        connection.close()


def test_rows_of_any_shape_are_read(database: Database, connection: Any):
    """A connection that gives dicts, or anything else, is as good."""
    if isinstance(connection, sqlite3.Connection):
        connection.row_factory = lambda cursor, row: {"row": row}
    elif isinstance(connection, psycopg.Connection):
        connection.row_factory = dict_row  # type: ignore[assignment]

    found = []
    for fence in (2, 3):
        with inbox(connection, fence) as fresh:
            found.append(fresh)

    assert [True, False] == found
    with pytest.raises(ClaimLost), inbox(connection, 1):
        pass
