"""``@chunked``: what it declares, what it refuses, and a whole run here and now."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from taskbridge import Bridge, Chunk, Lock, chunked, cursor, dates, ids, keyset, task, times
from taskbridge.chunking import ChunkPolicy, decode, encode
from taskbridge.errors import ArgumentError, ConfigError, CursorStuck

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_call_runs_all_chunks_here_and_now(bridge: Bridge):
    """One after another, with the other arguments unchanged; nothing is sent, and nothing is returned."""
    seen: list[Any] = []

    @bridge.task(queue="reports", name="reports")
    @chunked(over=ids(0, 7), size=3, pause=60, max_backlog=1, max_runtime=0.001)
    def send_reports(chunk: Chunk[int], kind: str, /, *more: int, day: date, **rest: Any) -> None:
        seen.append((chunk.number, list(chunk), kind, more, day, rest))

    day = date(2026, 1, 1)

    assert send_reports("monthly", 1, 2, day=day, x="y") is None  # type: ignore[func-returns-value]
    assert [(n, ids_, "monthly", (1, 2), day, {"x": "y"}) for n, ids_ in enumerate([[0, 1, 2], [3, 4, 5], [6]])] == seen
    assert [] == list(bridge.backend("memory").scan("reports", 10))


def test_a_hundred_thousand_chunks_run_to_the_end(bridge: Bridge):
    """They neither recurse nor end early, and none is kept."""
    total = [0, 0]

    @bridge.task
    @chunked(over=ids(0, 100_000), size=1)
    def count(chunk: Chunk[int]) -> None:
        total[0] += 1
        total[1] += chunk.items[0]

    count()

    assert [100_000, sum(range(100_000))] == total


def test_an_empty_range_runs_nothing(bridge: Bridge):
    """Not even once."""

    @bridge.task
    @chunked(over=ids(0, lambda: 0), size=1_000)
    def never(chunk: Chunk[int]) -> None:
        raise AssertionError

    never()


def test_an_async_function_is_awaited(bridge: Bridge):
    """A call of it is a coroutine, as of any task; its chunks run one after another."""
    seen: list[list[int]] = []

    @bridge.task
    @chunked(over=ids(0, 5), size=2)
    async def send(chunk: Chunk[int], kind: str) -> None:
        await asyncio.sleep(0)
        seen.append(list(chunk))

    asyncio.run(send("monthly"))

    assert [[0, 1], [2, 3], [4]] == seen


def test_without_task_it_runs_too():
    """``@chunked`` alone is a function over its range."""
    seen: list[int] = []

    @chunked(over=ids(0, 3), size=2)
    def collect(chunk: Chunk[int], more: int = 0) -> None:
        """Collect."""
        seen.extend(n + more for n in chunk)

    collect(more=10)

    assert ([10, 11, 12], "collect", "Collect.") == (seen, collect.__name__, collect.__doc__)


def test_what_is_declared_is_known(bridge: Bridge):
    """The function stays the user's, the chunk is no argument of a call, and the policy is in whole units."""
    over = times(DAY, DAY + timedelta(days=1), step=60)

    def reports(chunk: Chunk[datetime], kind: str, *, copies: int = 1) -> None: ...

    declare = chunked(over=over, size=timedelta(hours=1), pause=2.5, max_backlog=5_000, max_runtime=30)
    declared = bridge.task(name="reports", lock=Lock("kind:{kind}"))(declare(reports))

    definition = bridge.definitions["reports"]
    expected = ChunkPolicy(range=over, size=3_600_000_000, pause_ms=2_500, max_backlog=5_000, max_runtime_ms=30_000)
    assert (reports, expected) == (definition.function, definition.chunks)
    assert (["kind", "copies"], {"kind", "copies"}) == (definition.arguments.names, definition.arguments.keywords)
    assert ["kind", "copies"] == list(inspect.signature(declared).parameters)
    assert ("reports", declared.definition) == (declared.__name__, definition)
    (sent, named) = definition.arguments.encode(("monthly",), {"copies": 2})
    assert (["monthly"], {"copies": 2}) == definition.arguments.decode(sent, named)
    with pytest.raises(ArgumentError, match="missing a required argument: 'kind'"):
        definition.arguments.encode((), {})
    with pytest.raises(ConfigError, match="names 'chunk', which the task does not have"):
        bridge.task(name="other", lock=Lock("{chunk}"))(declare(reports))


def test_a_plain_task_has_no_chunks(bridge: Bridge):
    """It is called as it was."""
    plain = bridge.task(name="plain")(lambda chunk: chunk)

    assert (None, 5) == (plain.definition.chunks, plain(5))


def test_one_run_has_a_range_of_its_own(bridge: Bridge):
    """``using(over=...)`` replaces the range, its functions are called at once, and what it keeps is JSON."""
    seen: list[int] = []
    last = [8]

    @bridge.task(name="collect")
    @chunked(over=ids(0, 3), size=2)
    def collect(chunk: Chunk[int]) -> None:
        seen.extend(chunk)

    some = collect.using(over=ids(5, lambda: last[0], step=2))
    last[0] = 99
    some.using(priority=9)()
    collect.using(over=ids(4, 4))()
    some.using(over=None)()

    assert [5, 7, 0, 1, 2] == seen
    bounds = some.options.over
    assert bounds is not None
    assert b'{"kind":"ids","start":5,"stop":8,"step":2,"total":2}' == encode(bounds)
    assert bounds == decode(encode(bounds))
    assert collect.options.over is None


@pytest.mark.parametrize(
    ("declared", "size", "over", "told"),
    [
        (ids(0, 9), 1, dates(date.min, date.max), r"expected ids\(\.\.\.\), as t is declared, got dates\(datetime"),
        (ids(0, 9), 1, range(5), r"expected ids\(\.\.\.\), as t is declared, got range\(0, 5\)"),
        (ids(0, 9), 1, keyset(lambda after, limit: []), r"expected ids\(\.\.\.\), as t is declared, got keyset\("),
        (keyset(lambda after, limit: []), 1, ids(0, 9), "t is declared over a keyset, whose function cannot travel"),
        (cursor(lambda at: None), None, cursor(lambda at: None), "t is declared over a cursor, whose function cannot"),
        (ids(0, 9), 1, ids(0, lambda: -1), "expected a start that is not after the stop, got 0 and -1"),
        (times(DAY, DAY), 60, times(DAY, DAY, step=61), "expected at least the step of 0:01:01, got 0:01:00"),
    ],
)
def test_a_range_that_does_not_travel_is_refused(bridge: Bridge, declared: Any, size: Any, over: Any, told: str):
    """A worker goes by its own declaration; only bounds of the same kind go along."""
    collect = bridge.task(name="t")(chunked(over=declared, size=size)(lambda chunk: None))

    with pytest.raises(ConfigError, match=told):
        collect.using(over=over)


def test_a_range_belongs_to_chunked_tasks(bridge: Bridge):
    """Elsewhere it would be ignored; nor is it an option of ``@task`` itself."""
    plain = bridge.task(name="plain")(lambda: None)
    told = (
        r"^over: expected it in @chunked\(over=\.\.\.\), or in \.using\(over=\.\.\.\) of such a task, got ids\(0, 9\)"
    )

    for handle in (plain, bridge.external("legacy", queue="q")):
        with pytest.raises(ConfigError, match=r"over: .* is not chunked, so it has no range; declare it with @chunked"):
            handle.using(over=ids(0, 9))
    with pytest.raises(ConfigError, match=told):
        bridge.task(over=ids(0, 9))(lambda: None)
    with pytest.raises(ConfigError, match=told):
        bridge.external("legacy", queue="q", over=ids(0, 9))
    with pytest.raises(ConfigError, match=r"over is of one call; a task is declared with @chunked\(over="):
        bridge.task(over=ids(0, 9).open())(lambda: None)


def first_chunked_then_task(declare: Callable[..., Any]) -> None:
    @declare(over=ids(0, 9), size=1)
    @task
    def send_reports(chunk: Any, kind: str) -> None: ...


def task_inside_with_types(declare: Callable[..., Any]) -> None:
    @declare(over=ids(0, 9), size=1)
    @task(queue="reports")
    def send_reports(chunk: Chunk[int], kind: str) -> None: ...


@pytest.mark.parametrize("wrong", [first_chunked_then_task, task_inside_with_types])
def test_the_wrong_order_is_refused_with_the_right_one(wrong: Callable[..., None]):
    """Whichever of the two decorators notices first; the error is what to write."""
    with pytest.raises(ConfigError) as refused:
        wrong(chunked)

    assert "@task comes first, then @chunked:" in str(refused.value)
    assert "    @task\n    @chunked(over=..., size=...)\n    def send_reports(chunk, ...): ..." in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"over": range(5)}, r"over: expected a range, such as ids\(0, 1_000\), .* got range\(0, 5\)"),
        ({"size": 0}, "size: expected how many ids a chunk has, 1 or more; got 0"),
        ({"size": None}, "size: expected how many ids a chunk has, 1 or more; got None"),
        ({"pause": -1}, "pause: expected a span of 0 or more, got -1"),
        ({"pause": "2s"}, "pause: expected seconds or a timedelta, got '2s'"),
        ({"max_backlog": -1}, "max_backlog: expected how many messages, 0 or more, or None; got -1"),
        ({"max_backlog": 1.5}, "max_backlog: expected how many messages, 0 or more, or None; got 1.5"),
        ({"max_backlog": True}, "max_backlog: expected how many messages, 0 or more, or None; got True"),
        ({"max_runtime": 0}, "max_runtime: expected a span of 1 ms or more, or None; got 0"),
        ({"max_runtime": timedelta(-1)}, "max_runtime: expected a span of 1 ms or more, or None; got datetime"),
        ({"over": times(DAY, DAY, step=60), "size": 59}, "size: expected at least the step of 0:01:00, got 0:00:59"),
        ({"over": times(DAY, DAY), "max_runtime": 5}, r"max_runtime: .* say times\(\.\.\., step=\.\.\.\)"),
        (
            {"over": cursor(lambda at: None)},
            r"size: a function of cursor\(\) decides it by itself; leave it out, got 1",
        ),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], told: str):
    """When it is declared, with what was expected and what came."""
    with pytest.raises(ConfigError, match=f"^{told}"):
        chunked(**({"over": ids(0, 9), "size": 1} | changes))


def test_what_takes_no_chunk_is_refused():
    """A function without a first parameter, a class, a generator, what is chunked already."""
    declare: Callable[[Any], Any] = chunked(over=ids(0, 9), size=1)

    def generator(chunk: Chunk[int]) -> Any:
        yield from chunk

    for function, told in (
        (lambda: None, r"expected a first parameter for the chunk, such as <lambda>\(chunk, \.\.\.\)"),
        (lambda *, chunk: None, "expected a first parameter for the chunk"),
        (lambda *chunks: None, "expected a first parameter for the chunk"),
        (Chunk, "chunked: expected a function that takes a chunk first, got <class"),
        (5, "chunked: expected a function that takes a chunk first, got 5"),
        (generator, "generator: expected a function, and a generator is not run by calling it"),
        (declare(lambda chunk: None), "<lambda> is chunked already: one @chunked, with one range"),
    ):
        with pytest.raises(ConfigError, match=told):
            declare(function)


def test_a_cursor_that_does_not_advance_ends_a_call(bridge: Bridge):
    """It would run for ever; what ran before stays done."""
    seen: list[int] = []

    @bridge.task
    @chunked(over=cursor(lambda at: Chunk([1], next="same")))
    def turn(chunk: Chunk[int]) -> None:
        seen.extend(chunk)

    with pytest.raises(CursorStuck):
        turn()
    assert [1] == seen
