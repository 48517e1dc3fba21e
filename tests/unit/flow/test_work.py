"""A chunked task in a worker: its chunks follow one another, each once, and what they enqueue is counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, date, datetime, timedelta

import pytest

from taskbridge import Bridge, Chunk, Reschedule, chunked, current, cursor, dates, ids, keyset, times
from taskbridge.config import Settings
from taskbridge.policies.retry import Backoff
from taskbridge.store.flow import RunState
from taskbridge.testing.worker import Worker


@pytest.fixture
def bridge() -> Bridge:
    return Bridge(Settings(backend="memory"))


def run_of(bridge: Bridge, id: str) -> RunState:
    run = bridge.store.runs.look(id)
    assert run is not None
    return run


def test_every_id_is_in_one_chunk(bridge: Bridge) -> None:
    """With the caller's arguments, by position and by name, in each; the last is short."""
    seen: list[tuple[list[int], str, int, int, str]] = []

    @bridge.task
    @chunked(over=ids(0, lambda: 2_500), size=1_000)
    def report(chunk: Chunk[int], kind: str, *, page: int = 1) -> None:
        seen.append((list(chunk), kind, page, chunk.number, chunk.run))

    receipt = report.enqueue("monthly", page=7)
    Worker(bridge).run_pending()

    assert list(range(2_500)) == [id for items, *_ in seen for id in items]
    assert [("monthly", 7, n, receipt.id) for n in range(3)] == [tuple(rest) for _, *rest in seen]
    run = run_of(bridge, receipt.id)
    assert ("done", 2_500, 2_500, 2) == (run.state, run.done, run.total, run.chunk)


def test_empty_range_runs_nothing(bridge: Bridge) -> None:
    """And it is done."""
    seen = []

    @bridge.task
    @chunked(over=ids(0, lambda: 0), size=1_000)
    def report(chunk: Chunk[int]) -> None:
        seen.append(chunk)

    receipt = report.enqueue()
    Worker(bridge).run_pending()

    assert not seen
    record = bridge.store.messages.look(receipt.id)
    assert record is not None
    assert "DONE" == record.state


def test_a_day_of_events_is_seen(bridge: Bridge) -> None:
    """Every 250 ms, in chunks of an hour: 345,600 of 345,600."""
    day = datetime(2026, 3, 29, tzinfo=UTC)
    seen = chunks = 0

    @bridge.task
    @chunked(over=times(day, day + timedelta(days=1), step=timedelta(milliseconds=250)), size=timedelta(hours=1))
    def count(chunk: Chunk[datetime]) -> None:
        nonlocal seen, chunks
        seen, chunks = seen + len(list(chunk)), chunks + 1

    count.enqueue()
    Worker(bridge).run_pending()

    assert (345_600, 24) == (seen, chunks)


@pytest.mark.parametrize("chunks", [20_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_many_chunks_neither_recurse_nor_stop(bridge: Bridge, chunks: int) -> None:
    """In the memory of one process: twenty times as deep as Python recurses, and more."""
    seen = 0

    @bridge.task
    @chunked(over=ids(0, chunks), size=1)
    def count(chunk: Chunk[int]) -> None:
        nonlocal seen
        seen += len(chunk)

    count.enqueue()
    Worker(bridge).run_pending()

    assert chunks == seen


def test_sparse_keys_make_full_chunks(bridge: Bridge) -> None:
    """No empty windows are walked."""
    keys = [n * n * 1_000 for n in range(1, 26)]
    sizes = []

    def after(last: int | None, limit: int) -> list[int]:
        return [key for key in keys if last is None or key > last][:limit]

    @bridge.task
    @chunked(over=keyset(after), size=10)
    def send(chunk: Chunk[int]) -> None:
        sizes.append(len(chunk))

    send.enqueue()
    Worker(bridge).run_pending()

    assert [10, 10, 5] == sizes


def test_one_run_has_a_range_of_its_own(bridge: Bridge) -> None:
    """It travels with the call, through every chunk."""
    seen: list[int] = []

    @bridge.task
    @chunked(over=ids(0, 1_000), size=2)
    def report(chunk: Chunk[int]) -> None:
        seen.extend(chunk)

    report.using(over=ids(5, 10)).enqueue()
    Worker(bridge).run_pending()

    assert [5, 6, 7, 8, 9] == seen


def test_failed_chunk_is_tried_again_where_it_was(bridge: Bridge) -> None:
    """With the bounds that were said first, though their function would give others by now."""
    seen: list[tuple[int, int]] = []
    stops = iter([6, 60])

    @bridge.task(retry=Backoff(max_retries=3, base=0, cap=0))
    @chunked(over=ids(0, lambda: next(stops)), size=3)
    def report(chunk: Chunk[int]) -> None:
        seen.append((chunk.number, current().attempt))
        if current().attempt == 1:
            raise OSError("not now")

    report.enqueue()
    Worker(bridge).run_pending()

    assert [(0, 1), (0, 2), (1, 1), (1, 2)] == seen


def test_failed_run_is_seen_and_goes_on(bridge: Bridge) -> None:
    """After its last retry it stops visibly; replayed, it does the chunk again and all that is left."""
    seen: list[int] = []
    broken = True

    @bridge.task(retry=None)
    @chunked(over=ids(0, 9), size=3)
    def report(chunk: Chunk[int]) -> None:
        if broken and chunk.number == 1:
            raise OSError("no disk")
        seen.extend(chunk)

    receipt = report.enqueue()
    Worker(bridge).run_pending()
    run = run_of(bridge, receipt.id)
    broken = False
    replayed = bridge.store.dead.replay(run.current)
    Worker(bridge).run_pending()

    assert ("failed", 3) == (run.state, run.done)
    assert "no disk" in run.error
    assert replayed
    assert list(range(9)) == seen
    assert "done" == run_of(bridge, receipt.id).state


def test_repeated_chunk_enqueues_nothing_twice(bridge: Bridge) -> None:
    """Under ids made from the run and the arguments."""
    sent: list[int] = []
    created = []

    @bridge.task
    def send(user: int) -> None:
        sent.append(user)

    @bridge.task(retry=Backoff(max_retries=1, base=0, cap=0))
    @chunked(over=ids(0, 4), size=2)
    def report(chunk: Chunk[int]) -> None:
        created.append(send.enqueue_many({"user": user} for user in chunk).created)
        if current().attempt == 1:
            raise OSError("after it had sent")

    receipt = report.enqueue()
    Worker(bridge).run_pending()

    assert [2, 0, 2, 0] == created
    assert [0, 1, 2, 3] == sorted(sent)
    run = run_of(bridge, receipt.id)
    assert (4, 0) == (run.enqueued, run.open)


def test_stuck_cursor_is_not_retried(bridge: Bridge) -> None:
    """It would be stuck again."""
    runs = []

    def same(token: str | None) -> Chunk[int]:
        return Chunk([1], next="again")

    @bridge.task
    @chunked(over=cursor(same))
    def report(chunk: Chunk[int]) -> None:
        runs.append(chunk.number)

    receipt = report.enqueue()
    Worker(bridge).run_pending()

    run = run_of(bridge, receipt.id)
    assert [0] == runs  # the second would be the first again, and is not entered
    assert "failed" == run.state
    assert "expected a cursor that advances" in run.error


def test_chunk_ends_when_its_time_is_over(bridge: Bridge) -> None:
    """The next goes on where it came to."""
    seen: list[date] = []
    chunks = 0

    @bridge.task
    @chunked(over=dates(date(2024, 2, 1), date(2024, 4, 1)), size=40, max_runtime=0.005)
    def report(chunk: Chunk[date]) -> None:
        nonlocal chunks
        chunks += 1
        for day in chunk:
            seen.append(day)
            bridge.clock.sleep(0.002)

    report.enqueue()
    Worker(bridge).run_pending()

    assert [date(2024, 2, 1) + timedelta(days=n) for n in range(60)] == seen
    assert chunks > 10


async def nothing() -> None: ...


def test_async_task_is_chunked(bridge: Bridge) -> None:
    """What it enqueues belongs to the run as well."""
    sent: list[int] = []

    @bridge.task
    def send(user: int) -> None:
        sent.append(user)

    @bridge.task
    @chunked(over=ids(0, 4), size=2)
    async def report(chunk: Chunk[int]) -> None:
        await nothing()
        send.enqueue_many({"user": user} for user in chunk)

    receipt = report.enqueue()
    Worker(bridge).run_pending()

    run = run_of(bridge, receipt.id)
    assert (4, "done") == (run.enqueued, run.state)
    assert [0, 1, 2, 3] == sorted(sent)


def test_run_does_not_wait_for_what_only_others_run(bridge: Bridge) -> None:
    """A plain worker tells nobody how its task ends: ``max_backlog`` cannot count it. Repeated, it is known."""
    theirs = bridge.external("legacy.report", queue="theirs")
    created = []

    @bridge.task(retry=Backoff(max_retries=1, base=0))
    @chunked(over=ids(0, 6), size=2, max_backlog=0)
    def report(chunk: Chunk[int]) -> None:
        created.append(theirs.enqueue(chunk.number).created)
        created.append(theirs.using(delay=60).enqueue(chunk.number, late=True).created)
        if chunk.number == 1 and current().attempt == 1:
            raise ConnectionError("it is repeated")

    receipt = report.enqueue()
    Worker(bridge).run_pending()

    assert [True, True, True, True, False, False, True, True] == created
    assert ("done", 6, 0) == ((run := run_of(bridge, receipt.id)).state, run.done, run.enqueued)


def test_cursor_that_is_too_large_is_refused_before_the_work(bridge: Bridge) -> None:
    """It travels in the next chunk's message, and messages are small; the run fails where it stands."""
    seen = []

    def pages(token: str | None) -> Chunk[int] | None:
        return Chunk([len(token or "")], next="x" * (70_000 if token else 60_000))

    @bridge.task(retry=None)
    @chunked(over=cursor(pages))
    def sync(chunk: Chunk[int]) -> None:
        seen.extend(chunk)

    receipt = sync.enqueue()
    Worker(bridge).run_pending()

    assert [0] == seen
    run = run_of(bridge, receipt.id)
    assert ("failed", 1) == (run.state, run.chunk)
    assert "PayloadTooLarge" in run.error
    assert "save the data and pass its id" in run.error


def test_same_call_of_a_later_chunk_is_the_same_message(bridge: Bridge) -> None:
    """In a thread as well, if that is given the task's context; without, the call is none of the run's."""
    created = []

    @bridge.task
    def mail(user: int) -> None: ...

    @bridge.task
    @chunked(over=ids(0, 4), size=2)
    def report(chunk: Chunk[int]) -> None:
        with ThreadPoolExecutor(1) as pool:
            created.append(pool.submit(copy_context().run, mail.enqueue, 7).result().created)
            created.append(pool.submit(mail.enqueue, 7).result().created)

    receipt = report.enqueue()
    Worker(bridge).run_pending()

    assert [True, True, False, True] == created
    assert 1 == run_of(bridge, receipt.id).enqueued


def test_rescheduled_arguments_stay_for_the_chunks_that_follow(bridge: Bridge) -> None:
    """The chunk is the same one, and spends no attempt."""
    seen = []

    @bridge.task
    @chunked(over=ids(0, 4), size=2)
    def poll(chunk: Chunk[int], ref: str = "") -> None:
        seen.append((chunk.number, ref, current().attempt))
        if not ref:
            raise Reschedule(0, kwargs={"ref": "a"})

    poll.enqueue()
    Worker(bridge).run_pending()

    assert [(0, "", 1), (0, "a", 1), (1, "a", 1)] == seen
