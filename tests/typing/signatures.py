"""What a type checker knows of tasks. Never run: mypy reads it, and each marked line has to be exactly that error."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, date, datetime
from typing import Any, assert_type
from uuid import UUID

from taskbridge import (
    Backoff,
    BatchProgress,
    BatchReceipt,
    Bridge,
    Chunk,
    Current,
    Enqueued,
    Receipt,
    Settings,
    Task,
    batch,
    batch_progress,
    before_task,
    chunked,
    current,
    cursor,
    dates,
    external,
    ids,
    keyset,
    on_failure,
    open_batch,
    stream,
    subscribe,
    task,
    times,
)
from taskbridge.events import Event, Failed, Retried, Sent, Started, Succeeded
from taskbridge.flow.signature import Signature
from taskbridge.hooks import CallNext
from taskbridge.outcome import Outcome

bridge = Bridge(Settings(backend="memory"))


@task
def plain(a: int, b: str = "") -> float:
    return a / 2


@task(queue="mail", retry=Backoff(max_retries=1))
def with_options(user: int, *, day: date | None = None) -> None: ...


@bridge.task(priority=9)
def on_a_bridge(*numbers: int, **named: str) -> list[int]:
    return list(numbers)


@task
async def asynchronous(a: int) -> str:
    return str(a)


# A task keeps its function's signature, called or enqueued.
assert_type(plain(1, "x"), float)
assert_type(plain(1, b="x"), float)
assert_type(plain.enqueue(1), Receipt)
assert_type(plain.enqueue(a=1, b="x"), Receipt)
assert_type(with_options.enqueue(1, day=date(2026, 1, 1)), Receipt)
assert_type(on_a_bridge(1, 2, x="y"), list[int])
assert_type(on_a_bridge.enqueue(1, 2, x="y"), Receipt)
assert_type(plain.using(delay=5, queue="urgent").enqueue(1), Receipt)
assert_type(asynchronous.enqueue(1).id, str)


async def awaits() -> None:
    assert_type(await asynchronous(1), str)


# A wrong call is an error where it is written.
plain("1")  # error: arg-type
plain.enqueue("1")  # error: arg-type
plain.enqueue()  # error: call-arg
plain.enqueue(1, "x", 2)  # error: call-arg
plain.enqueue(1, c=2)  # error: call-arg
plain.enqueue(1, b=2)  # error: arg-type
with_options.enqueue(1, date(2026, 1, 1))  # error: call-arg
with_options.enqueue(1, day="2026-01-01")  # error: arg-type
with_options.enqueue(None)  # error: arg-type
on_a_bridge.enqueue("1")  # error: arg-type
on_a_bridge.enqueue(x=1)  # error: arg-type
asynchronous.enqueue("1")  # error: arg-type
plain.using(delay=5).enqueue("1")  # error: arg-type
plain.using(delay=5)("1")  # error: arg-type

# Many are dicts or tuples; a Receipt and a count have their fields.
assert_type(plain.enqueue_many([{"a": 1}, (1, "x")]), Enqueued)
assert_type(plain.enqueue_many({"a": n} for n in range(9)).created, int)
plain.enqueue_many([1])  # error: list-item
print(plain.enqueue(1).result)  # error: attr-defined

# A task that only others have takes anything.
report = external("legacy.report", queue="reports")
assert_type(report.enqueue(1, x="y"), Receipt)
external("legacy.report")  # error: call-arg


def takes_a_task(one: Task[[int], None]) -> None: ...


@task
def of_one(a: int) -> None: ...


takes_a_task(of_one)
takes_a_task(asynchronous)  # error: arg-type


# A listener says what it hears: all events, or those of the kinds it asks for.
@bridge.subscribe
def listener(event: Event) -> None:
    assert_type(event.id, str)


@subscribe(Failed)
def failures(event: Failed) -> int:
    assert_type(event.error, BaseException | None)
    return 1


@bridge.subscribe(Failed, Retried)
def troubles(event: Failed | Retried) -> None:
    assert_type(event.why, str)


@subscribe(Started, Succeeded, Failed)
def ends(event: Started | Succeeded | Failed) -> None: ...


@subscribe(Sent, Started, Succeeded, Failed)
def many(event: Event) -> None: ...


heard: list[Event] = []
assert_type(failures(Failed(id="1", task="t", queue="q")), int)
subscribe(heard.append)
subscribe(listener, Failed, Retried)
subscribe(failures, Failed)
subscribe(troubles, Failed, Retried)
subscribe(troubles, Failed)
bridge.subscribe(many, Sent, Started, Succeeded, Failed)
subscribe(failures)  # error: type-var
subscribe(failures, Failed, Retried)  # error: arg-type
subscribe(Retried)(failures)  # error: arg-type
subscribe(Failed, Retried)(failures)  # error: arg-type
subscribe(listener, 7)  # error: call-overload


def inside(connection: Any) -> None:
    with current().inbox(connection) as fresh:
        assert_type(fresh, bool)
    assert_type(current().attempt, int)


# Hooks and middleware keep their own types; one that could not be called so is an error where it is declared.
@before_task
def before(me: Current) -> None:
    assert_type(me.attempt, int)


@bridge.after_task
def after(me: Current, outcome: Outcome) -> None: ...


@on_failure
def failed(me: Current, error: BaseException, final: bool) -> None: ...


@bridge.on_worker_start
def connect() -> int:
    return 1


@bridge.middleware
def timed(call_next: CallNext, me: Current) -> Any:
    return call_next()


assert_type(connect(), int)
bridge.before_task(connect)  # error: type-var
bridge.after_task(failed)  # error: type-var
bridge.middleware(before)  # error: type-var
bridge.on_worker_start(before)  # error: type-var

# A call that is written down may leave its first argument to a result; it keeps what it returns.
assert_type(plain.s(1, "x"), Signature[float])
assert_type(plain.s("x"), Signature[float])
assert_type(plain.s(b="x"), Signature[float])
assert_type(plain.si(1), Signature[float])
assert_type(plain.s(1).using(delay=5), Signature[float])
assert_type(plain.s(1).enqueue(), Receipt)
plain.s(2.5)  # error: call-overload
plain.s(1, "x", 2)  # error: call-overload
plain.s(c=2)  # error: call-overload
plain.si()  # error: call-arg
with_options.s(day="2026-01-01")  # error: call-overload
report.s(1, x="y")


# A chunked task: the chunk is ours, the rest is the caller's.
def last_id() -> int:
    return 9


@task(queue="reports")
@chunked(over=ids(0, last_id), size=1_000, pause=2.0, max_backlog=5_000)
def send_reports(chunk: Chunk[int], kind: str, *, copies: int = 1) -> None:
    assert_type(chunk.items[0], int)
    assert_type(chunk.start, int | Any)
    for user_id in chunk:
        assert_type(user_id, int)


@task
@chunked(over=times(datetime(2026, 1, 1, tzinfo=UTC), lambda: datetime(2027, 1, 1, tzinfo=UTC)), size=3600)
async def aggregate(chunk: Chunk[datetime]) -> None: ...


@bridge.task
@chunked(over=dates(date(2026, 1, 1), date.today), size=7)
def by_week(chunk: Chunk[date], n: int) -> int:
    return n


def keys_after(after: UUID | None, limit: int) -> list[UUID]:
    return []


def rows(position: int | None) -> list[tuple[int, str]]:
    return []


def next_page(token: str | None) -> Chunk[dict[str, int]] | None:
    return Chunk([{"a": 1}], next="b")


@task
@chunked(over=keyset(keys_after), size=10)
def of_keys(chunk: Chunk[UUID]) -> None: ...


@task
@chunked(over=stream(rows), size=10)
def of_rows(chunk: Chunk[str]) -> None: ...


def takes_ids(chunk: Chunk[int]) -> None: ...


@task
@chunked(over=cursor(next_page))
def of_pages(chunk: Chunk[dict[str, int]]) -> None: ...


assert_type(send_reports.enqueue("monthly"), Receipt)
assert_type(send_reports.enqueue("monthly", copies=2), Receipt)
assert_type(send_reports.using(over=ids(5, 10)).enqueue("monthly"), Receipt)
assert_type(aggregate, Task[[], Coroutine[Any, Any, None]])
assert_type(by_week.enqueue(5), Receipt)
assert_type(of_keys.enqueue(), Receipt)
by_week(5) + 1  # error: operator
send_reports("monthly", copies="2")  # error: arg-type
send_reports.enqueue()  # error: call-arg
send_reports.enqueue(5)  # error: arg-type
send_reports.enqueue("monthly", 5)  # error: call-arg
aggregate.enqueue("monthly")  # error: call-arg
chunked(over=ids(0, 9), size=1)(of_one)  # error: arg-type
chunked(over=dates(date(2026, 1, 1), date.today), size=1)(takes_ids)  # error: arg-type

# A batch takes calls that are written down, and tells how far it is.
assert_type(batch([plain.s(1), with_options.s(1)]).then(plain.s(1)).on_error(of_one.s(1)).enqueue(), BatchReceipt)
assert_type(batch(plain.s(n) for n in range(9)).id, str)
assert_type(batch_progress("5f2b"), BatchProgress | None)
with bridge.open_batch(when="all_done", then=plain.s(1)) as b:
    assert_type(b.add(plain.s(1), key="x"), Receipt)
    assert_type(b.enqueue_many(plain, [(1,), {"a": 2}], key=str), Enqueued)
batch([plain])  # error: list-item
batch([plain.enqueue(1)])  # error: list-item
batch([], when="sometimes")  # error: arg-type
batch([]).then(plain)  # error: arg-type
open_batch(on_error=print)  # error: arg-type
