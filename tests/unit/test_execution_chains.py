"""What a link gives to the next one: its result as its annotation says, or a reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from taskbridge import Bridge, Chunk, Settings, chain, chunked, current, ids
from taskbridge.errors import ArgumentError
from taskbridge.message import Message, decode
from taskbridge.outcome import Done, Ended

from .conftest import BridgeClock
from .deliveries import AT_ONCE, Stage


def published(stage: Stage) -> Message:
    """What a relay would hand to an engine next."""
    (due,) = stage.bridge.store.outbox.take(10)
    stage.bridge.store.outbox.mark([(due.id, due.seq)])
    return decode(due.body).copy(seq=due.seq, attempt=due.attempt)


def giving(stage: Stage, value: Any, annotation: Any, **options: Any) -> Callable[[], Any]:
    """A chain whose first link returns this; what the second was given can be asked for."""
    given: list[Any] = []

    def first() -> Any:
        return value

    def second(value: Any) -> None:
        given.append(value)

    first.__annotations__["return"] = annotation
    second.__annotations__["value"] = annotation
    one, two = stage.bridge.task(**options)(first), stage.bridge.task(second)
    chain(one.s(), two.s()).enqueue()
    return given.pop


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (7, int),
        (date(2026, 1, 1), date),
        (Decimal("1.10"), Decimal),
        ([date(2026, 1, 1)], list[date]),
        ({"a": [1, None]}, Any),
        (None, None),
        ('é\n"\\', str),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime | None),
    ],
)
def test_a_result_comes_back_as_it_is_annotated(stage: Stage, value: Any, annotation: Any):
    """Encoded by what the one returns, decoded by what the other takes."""
    given = giving(stage, value, annotation)

    assert isinstance(stage.run(published(stage)), Done)
    assert isinstance(stage.run(published(stage)), Done)
    back = given()
    assert (value, type(value)) == (back, type(back))


@pytest.mark.parametrize(
    ("value", "annotation", "says"),
    [
        (float("nan"), float, "JSON cannot carry nan"),
        (datetime(2026, 1, 1), datetime, "has no time zone"),  # noqa: DTZ001
        ("7", int, "its result: expected int, got a value of type str"),
        (date(2026, 1, 1), Any, "which JSON carries only where it is annotated"),
        ({1, 2}, Any, "which JSON carries only where it is annotated"),
        (
            "x" * 70_000,
            str,
            "70002 bytes of JSON and max_payload is 65536: save the data and return its id",
        ),
    ],
)
def test_a_result_that_would_not_come_back_fails_its_link_at_once(stage: Stage, value: Any, annotation: Any, says: str):
    """It would come again with every retry; the chain stops there, and listeners hear of a failure."""
    giving(stage, value, annotation, retry=AT_ONCE)
    finals: list[bool] = []

    @stage.bridge.on_failure
    def failed(me: object, error: object, final: bool) -> None:
        finals.append(final)

    message = published(stage)
    outcome = stage.run(message)

    assert isinstance(outcome, Ended)
    assert says in outcome.why
    assert says in stage.look(message).why
    assert ([True], ["Sent", "Started", "Failed"]) == (finals, stage.told())
    assert ("DEAD", []) == (stage.look(message).state, stage.bridge.store.outbox.take(10))
    assert stage.bridge.store.chains.look(message.flow.chain if message.flow else "")


def test_the_limit_is_that_of_the_settings(clock: BridgeClock):
    """What a message may not have, a result may not have either."""
    bridge = Bridge(Settings(backend="memory", max_payload=2_000))
    bridge.clock = clock
    stage = Stage(bridge, clock)
    giving(stage, "x" * 2_000, str)

    outcome = stage.run(published(stage))

    assert isinstance(outcome, Ended)
    assert "max_payload is 2000" in outcome.why


@pytest.mark.parametrize("alone", [True, False])
def test_a_result_that_goes_nowhere_is_not_looked_at(stage: Stage, alone: bool):
    """The last link's, one's before a link that takes none, and one's of no chain."""

    @stage.bridge.task
    def returns() -> Bridge:
        return stage.bridge

    if alone:
        returns.using(delay=1).enqueue()
        stage.clock.advance(2)
    else:
        chain(returns.s(), returns.si()).enqueue()
        assert Done(stage.bridge) == stage.run(published(stage))

    assert Done(stage.bridge) == stage.run(published(stage))


def test_a_link_knows_its_chain(stage: Stage):
    """And which one it is, from 0."""
    seen: list[tuple[str, int]] = []

    @stage.bridge.task
    def link() -> None:
        seen.append((current().chain, current().link))

    id = chain(link.s(), link.si()).enqueue().chain
    stage.run(published(stage))
    stage.run(published(stage))
    link.using(delay=1).enqueue()
    stage.clock.advance(2)
    stage.run(published(stage))

    assert [(id, 0), (id, 1), ("", 0)] == seen


def test_a_link_is_stamped_when_it_is_ready(stage: Stage):
    """Its age and its expiry count from then: the relay's work, see there."""
    giving(stage, 1, int)
    (due,) = stage.bridge.store.outbox.take(10)
    assert not due.fresh_ms

    stage.run(decode(due.body))

    (due,) = stage.bridge.store.outbox.take(10)
    assert due.fresh_ms > 0
    assert [1] == json.loads(bytes(decode(due.body).args))


def test_a_run_is_one_link(stage: Stage):
    """It is given a result as its own argument, takes as many chunks as it takes, and gives None."""
    seen: list[object] = []

    @stage.bridge.task
    def begins() -> str:
        return "kind"

    @stage.bridge.task
    @chunked(over=ids(0, 10), size=4)
    def walks(chunk: Chunk[int], kind: str) -> int:
        seen.append((kind, *chunk))
        return 7

    @stage.bridge.task
    def ends(walked: None) -> None:
        seen.append(walked)

    @stage.bridge.task
    def counts(n: int) -> None: ...

    with pytest.raises(ArgumentError, match=r"annotated int, and .*walks returns None"):
        chain(begins.s(), walks.s(), counts.s())
    chain(begins.s(), walks.s(), ends.s()).enqueue()
    for _ in range(5):
        assert isinstance(stage.run(published(stage)), Done)

    assert [("kind", 0, 1, 2, 3), ("kind", 4, 5, 6, 7), ("kind", 8, 9), None] == seen
    assert [] == stage.bridge.store.chains.newest(10)


def test_a_run_over_a_range_of_its_own_may_be_a_link(stage: Stage):
    """Its bounds travel with the link."""
    seen: list[int] = []

    @stage.bridge.task
    @chunked(over=ids(0, 10), size=4)
    def walks(chunk: Chunk[int]) -> None:
        seen.extend(chunk)

    chain(walks.using(over=ids(5, 7)).s(), walks.using(over=ids(1, 3)).si()).enqueue()
    for _ in range(2):
        stage.run(published(stage))

    assert [5, 6, 1, 2] == seen
