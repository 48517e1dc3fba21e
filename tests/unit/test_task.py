"""Task: called it runs here, enqueued it runs in a worker; its options are its own."""

from __future__ import annotations

import inspect

import pytest

from taskbridge import Bridge, Receipt
from taskbridge.errors import ArgumentError, ConfigError
from taskbridge.message import Message


def waiting(bridge: Bridge, queue: str) -> list[Message]:
    return list(bridge.backend("memory").scan(queue, 100))


def test_a_call_runs_here_and_now(bridge: Bridge):
    """A task is the function it decorates: called, it returns what that returns, and nothing is sent."""

    @bridge.task(queue="sums")
    def add(a: int, b: int = 2) -> int:
        """Add up."""
        return a + b

    assert 3 == add(1)
    assert [] == waiting(bridge, "sums")
    assert ("add", "Add up.", __name__) == (add.__name__, add.__doc__, add.__module__)
    assert ["a", "b"] == list(inspect.signature(add).parameters)


def test_enqueue_runs_it_in_a_worker(bridge: Bridge):
    """A receipt has the id of the message that now waits in the task's queue."""

    @bridge.task(queue="sums", name="add")
    def add(a: int, *, b: int = 2) -> int: ...

    receipt = add.enqueue(1, b=3)

    (message,) = waiting(bridge, "sums")
    assert Receipt(message.id, created=True) == receipt
    assert ("add", b"[1]", b'{"b":3}') == (message.task, bytes(message.args), bytes(message.kwargs))


def test_using_changes_one_call(bridge: Bridge):
    """``using`` returns a task with other options; the first keeps its own, and both are one task to a worker."""

    @bridge.task(queue="sums", name="add", priority=5)
    def add(a: int) -> int:
        return a

    urgent = add.using(queue="urgent", priority=9).using(expires=60)
    urgent.enqueue(1)
    add.enqueue(2)

    assert [("urgent", 9, b"[1]")] == [(one.queue, one.priority, bytes(one.args)) for one in waiting(bridge, "urgent")]
    assert [("sums", 5, b"[2]")] == [(one.queue, one.priority, bytes(one.args)) for one in waiting(bridge, "sums")]
    assert (1, "add", 60_000) == (urgent(1), urgent.name, urgent.options.expires_ms)
    assert ["add"] == list(bridge.definitions)


def test_using_refuses_what_is_no_option(bridge: Bridge):
    """With the nearest that is known; a value out of its range with what was expected."""

    @bridge.task
    def add() -> None: ...

    with pytest.raises(ConfigError, match="a task has no option 'dely'; did you mean 'delay'"):
        add.using(dely=5)
    with pytest.raises(ConfigError, match="delay: expected a span of 0 or more, got -5"):
        add.using(delay=-5)


def test_a_wrong_argument_is_refused_when_sent(bridge: Bridge):
    """By the signature, before anything is sent."""

    @bridge.task(queue="sums", name="add")
    def add(a: int) -> None: ...

    with pytest.raises(ArgumentError, match="missing a required argument: 'a'; expected add"):
        add.enqueue()  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match="argument 'a': expected int, got a value of type str"):
        add.enqueue("x")  # type: ignore[arg-type]
    assert [] == waiting(bridge, "sums")


def test_it_says_what_it_is(bridge: Bridge):
    """Name and queue, for a log."""

    @bridge.task(queue="sums", name="add")
    def add() -> None: ...

    assert "<Task add on queue 'sums'>" == repr(add)
