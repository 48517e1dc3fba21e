"""``current()``: the message whose task is running here, and nowhere else."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskbridge import current
from taskbridge.current import Current, TimeLeft, running
from taskbridge.errors import ConfigError, TaskbridgeError
from taskbridge.testing import FakeClock


def a_run(fence: int = 1, id: str = "m") -> Current:
    return Current(
        id=id, task="t", queue="q", attempt=1, starts=1, fencing_token=fence, enqueued_at_ms=0, first_due_ms=0
    )


def test_inside_a_task_it_is_its_message():
    """In the block, in what it calls and awaits; a run within a run ends with itself."""
    outer, inner = a_run(id="outer"), a_run(id="inner")

    async def asked() -> str:
        await asyncio.sleep(0)
        return current().id

    with running(outer):
        with running(inner):
            assert inner is current()
        assert outer is current()
        assert "outer" == asyncio.run(asked())


def test_outside_a_task_there_is_none():
    """Before, after, and in a thread the task did not hand it to; the error says where it belongs."""
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            current()
        except TaskbridgeError as error:
            raised.append(error)

    with running(a_run()):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    elsewhere()
    assert ["current() is for code inside a running task; none is running here"] * 2 == [str(one) for one in raised]


def test_it_ends_with_an_error_too():
    """Who failed is no longer running."""
    with pytest.raises(ZeroDivisionError), running(a_run()):
        _ = 1 / 0

    with pytest.raises(TaskbridgeError):
        current()


def test_it_tells_how_much_time_is_left():
    """Until when in UTC, and the seconds until then, never below none; without a timeout there is neither."""
    clock = FakeClock()
    left = TimeLeft(clock, 1_500)
    run = Current(
        id="m", task="t", queue="q", attempt=1, starts=1, fencing_token=1, enqueued_at_ms=0, first_due_ms=0, left=left
    )

    seen = [(run.deadline, run.remaining)]
    for _ in range(2):
        clock.advance(1)
        seen.append((run.deadline, run.remaining))

    noon = datetime(2026, 1, 1, 12, 0, 1, 500_000, tzinfo=UTC)
    assert [(noon, 1.5), (noon, 0.5), (noon, 0.0)] == seen
    assert (None, None) == (a_run().deadline, a_run().remaining)


def test_inbox_is_of_this_message_and_run(tmp_path: Path):
    """It writes this message's id and token, and is one per run."""
    connection = sqlite3.connect(tmp_path / "bank.sqlite3")

    for run in (a_run(fence=5), a_run(fence=6)):
        with run.inbox(connection) as fresh:
            assert fresh == (run.fencing_token == 5)
        with pytest.raises(ConfigError, match="a run has one inbox block"), run.inbox(connection):
            pass

    assert [("m", 5)] == connection.execute("SELECT message_id, fencing_token FROM taskbridge_inbox").fetchall()
    connection.close()
