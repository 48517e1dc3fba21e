"""Subscribers: told in order in a thread of their own; slow, stuck or broken, they do no harm."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings, subscribers
from taskbridge.errors import ConfigError
from taskbridge.events import Event, Failed, Retried, Sent, Started, Succeeded
from taskbridge.subscribers import FLUSH_S, MOST, MOST_WITH_ERRORS, SAY_EVERY_S
from taskbridge.testing.worker import Worker

from ..servers import in_time, until
from .conftest import BridgeClock

WHO: dict[str, Any] = {"task": "bank.book", "queue": "ledger"}


def emit(bridge: Bridge, count: int, kind: type[Event] = Succeeded, first: int = 0) -> list[str]:
    """Tell of so many events; returns their ids."""
    ids = [str(n) for n in range(first, first + count)]
    for id in ids:
        bridge.events.emit(kind(id=id, **WHO))
    return ids


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds a listener up until the test is over."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_a_subscriber_is_told_in_order_in_a_thread_of_its_own(bridge: Bridge):
    """Everything that was emitted, as it was emitted."""
    heard, threads = [], set()

    @bridge.subscribe
    def listener(event: Event) -> None:
        heard.append(event.id)
        threads.add(threading.current_thread().name)

    sent = emit(bridge, 1_000)

    assert bridge.subscribers.flush(20)
    assert sent == heard
    assert {"subscriber listener"} == threads


FOUR = (Sent, Started, Retried, Failed)


@pytest.mark.parametrize(
    ("subscribe", "expected"),
    [
        (lambda bridge, listener: bridge.subscribe(listener), FOUR),
        (lambda bridge, listener: bridge.subscribe(listener, Event), FOUR),
        (lambda bridge, listener: bridge.subscribe(listener, Failed), (Failed,)),
        (lambda bridge, listener: bridge.subscribe(listener, Failed, Retried), (Retried, Failed)),
        (lambda bridge, listener: bridge.subscribe(Sent)(listener), (Sent,)),
        (lambda bridge, listener: bridge.subscribe(*FOUR)(listener), FOUR),
    ],
)
def test_a_subscriber_hears_the_kinds_it_asked_for(
    bridge: Bridge, subscribe: Callable[[Bridge, Any], Any], expected: tuple[type[Event], ...]
):
    """All without a name; as a call or as a decorator, which returns the function."""
    heard: list[type[Event]] = []

    def listener(event: Event) -> None:
        heard.append(type(event))

    assert listener is subscribe(bridge, listener)
    for kind in FOUR:
        emit(bridge, 1, kind)

    assert bridge.subscribers.flush(20)
    assert list(expected) == heard


def test_a_subscriber_learns_when_it_was(bridge: Bridge, clock: BridgeClock, gate: threading.Event):
    """However late it is told: by the store's clock, when it happened here."""
    heard: list[Event] = []
    bridge.subscribe(lambda event: gate.wait() and heard.append(event))

    then_ms = clock.now_ms()
    emit(bridge, 1)
    clock.advance(3_600)
    gate.set()

    assert bridge.subscribers.flush(20)
    assert [Succeeded(id="0", **WHO, at_ms=then_ms)] == heard


def test_a_slow_subscriber_does_not_slow_the_work(gate: threading.Event, monkeypatch: pytest.MonkeyPatch):
    """One that takes a minute per event, and a thousand tasks: they have ended before it heard of the second."""
    bridge, heard = Bridge(Settings(backend="memory")), []
    monkeypatch.setattr("taskbridge.testing.worker.HEARD_S", 0.1)

    @bridge.subscribe(Succeeded)
    def slow(event: Event) -> None:
        heard.append(event)
        gate.wait(60)

    task = bridge.task(name="tests.quick", queue="mail")(lambda: None)
    task.enqueue_many(() for _ in range(1_000))
    began_s = time.monotonic()

    served = Worker(bridge).run_pending()

    assert served == 1_000
    assert time.monotonic() - began_s < 60
    until(lambda: heard, 20, "the first to be heard of")
    assert 1 == len(heard)


def test_a_subscriber_that_raises_hears_of_the_next_event_and_so_do_others(
    bridge: Bridge, clock: BridgeClock, caplog: pytest.LogCaptureFixture
):
    """The log says which one failed, on what and how, and says so once a minute at most: with how often."""
    heard: list[str] = []

    @bridge.subscribe
    def broken(event: Event) -> None:
        heard.append(f"broken {event.id}")
        raise SystemExit("the warehouse is away") if event.id == "1" else RuntimeError("the warehouse is away")

    bridge.subscribe(lambda event: heard.append(event.id))

    with caplog.at_level(logging.ERROR, "taskbridge.events"):
        emit(bridge, 3)
        assert bridge.subscribers.flush(20)
        clock.advance(SAY_EVERY_S + 1)
        emit(bridge, 1)
        assert bridge.subscribers.flush(20)

    assert sorted(["broken 0", "0", "broken 1", "1", "broken 2", "2", "broken 0", "0"]) == sorted(heard)
    said = [one.getMessage().rpartition(", ")[2] for one in caplog.records]
    assert ["the last of 1 times", "the last of 3 times"] == said
    assert "broken" in caplog.text
    assert "Succeeded" in caplog.text
    assert "RuntimeError: the warehouse is away" in caplog.text


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), GeneratorExit(), KeyboardInterrupt()])
def test_whatever_a_subscriber_raises_it_hears_of_the_next_event(bridge: Bridge, error: BaseException):
    """What is no ``Exception`` ends its thread no more than another."""
    heard: list[str] = []

    @bridge.subscribe
    def odd(event: Event) -> None:
        heard.append(event.id)
        if event.id == "0":
            raise error

    sent = emit(bridge, 3)

    assert bridge.subscribers.flush(20)
    assert sent == heard


def test_an_error_that_was_told_of_is_kept_by_nobody(bridge: Bridge):
    """What its frames hold may be large, and another event may not come for hours."""

    class Statement:
        """What the task had in hand."""

    def book() -> weakref.ref[Statement]:
        statement = Statement()
        try:
            raise ValueError("no such account")
        except ValueError as error:
            bridge.events.emit(Failed(id="0", error=error, **WHO))
        return weakref.ref(statement)

    bridge.subscribe(lambda event: None)

    kept = book()

    def gone() -> bool:
        gc.collect()
        return kept() is None

    until(gone, 20, "the frames of the error are gone")


def test_behind_many_an_event_waits_without_its_error(bridge: Bridge, gate: threading.Event):
    """What thousands of errors hold in their frames would be too much; why it failed is told all the same."""
    heard: list[Failed] = []
    bridge.subscribe(lambda event: gate.wait() and heard.append(event), Failed)

    for n in range(3 * MOST_WITH_ERRORS):
        bridge.events.emit(Failed(id=str(n), why="ValueError: x", error=ValueError("x"), **WHO))
    gate.set()

    assert bridge.subscribers.flush(20)
    with_errors = [event.error is not None for event in heard].count(True)
    assert MOST_WITH_ERRORS <= with_errors <= MOST_WITH_ERRORS + 1  # one was with the listener
    assert {"ValueError: x"} == {event.why for event in heard}
    assert 3 * MOST_WITH_ERRORS == len(heard)


def test_what_a_subscriber_cannot_keep_up_with_is_dropped_and_counted(
    bridge: Bridge, clock: BridgeClock, gate: threading.Event, caplog: pytest.LogCaptureFixture
):
    """The first that wait are told, in order; memory is bounded, others hear all, the log says what is missed."""
    heard: list[str] = []
    others: list[str] = []

    @bridge.subscribe
    def stuck(event: Event) -> None:
        gate.wait()
        heard.append(event.id)

    bridge.subscribe(lambda event: others.append(event.id))
    with caplog.at_level(logging.WARNING, "taskbridge.events"):
        ids = emit(bridge, 100)
        while len(others) < 100:  # so that the other one is never behind by as much
            time.sleep(0.001)
        while len(ids) < MOST + 300:
            ids += emit(bridge, 100, first=len(ids))
            while len(others) < len(ids):
                time.sleep(0.001)
        clock.advance(SAY_EVERY_S + 1)
        emit(bridge, 1)
        gate.set()
        assert bridge.subscribers.flush(20)

    assert ids[: len(heard)] == heard
    assert MOST + 301 == len(heard) + bridge.subscribers.dropped
    assert MOST <= len(heard) <= MOST + 1  # one is being told
    assert [1, MOST + 300 - len(heard)] == [one.args[0] for one in caplog.records]  # type: ignore[index]
    assert "does not keep up" in caplog.text


def test_a_stuck_subscriber_keeps_nobody_from_ending(
    bridge: Bridge, gate: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Closing waits for about a second, and the log says what was not told; those who hear have heard all."""
    heard: list[str] = []
    bridge.subscribe(lambda event: gate.wait())
    bridge.subscribe(lambda event: heard.append(event.id))
    sent = emit(bridge, 10)
    began_s = time.monotonic()
    monkeypatch.setattr(subscribers, "FLUSH_S", 5.0)  # those who hear may have to wait for a busy machine

    with caplog.at_level(logging.WARNING, "taskbridge.events"):
        bridge.close()

    assert sent == heard
    assert 5.0 * 0.9 < time.monotonic() - began_s
    assert ["it has not kept up"] == [one.getMessage().rpartition(": ")[2] for one in caplog.records]
    monkeypatch.setattr(subscribers, "FLUSH_S", FLUSH_S)
    in_time(bridge.close, FLUSH_S + 2)


def test_nothing_is_started_before_there_is_something_to_tell(bridge: Bridge):
    """A template forks: it must have no threads. Closing costs nothing then."""
    before = {*threading.enumerate()}
    bridge.subscribe(lambda event: None)
    bridge.subscribe(lambda event: None, Failed)
    emit(bridge, 1, Succeeded)

    assert 1 == len({*threading.enumerate()} - before)
    assert bridge.subscribers.flush(20)


def in_a_process(program: str, folder: Path) -> list[str]:
    """Run a program with a bridge and a listener that appends its pid and the event's id to a file, after 1 ms."""
    begin = """
        import os, sys, time
        from taskbridge import Bridge, Settings, subscribers
        from taskbridge.events import Succeeded

        subscribers.FLUSH_S = 30.0  # of a busy machine
        bridge = Bridge(Settings(backend="memory"))

        @bridge.subscribe
        def listener(event):
            time.sleep(0.001)
            with open("heard", "a") as file:
                print(os.getpid(), event.id, file=file)

        def emit(count):
            for n in range(count):
                bridge.events.emit(Succeeded(id=f"{os.getpid()}-{n}", task="t", queue="q"))
    """
    source = textwrap.dedent(begin) + textwrap.dedent(program)
    subprocess.run([sys.executable, "-c", source], cwd=folder, check=True, timeout=60)
    return (folder / "heard").read_text().splitlines()


def test_a_process_that_exits_tells_what_waits(tmp_path: Path):
    """A producer that only enqueues and ends: its listeners hear of all of it."""
    heard = in_a_process("emit(300)", tmp_path)

    assert list(range(300)) == [int(line.rpartition("-")[2]) for line in heard]


def test_a_fork_tells_of_its_own_events(tmp_path: Path):
    """Each process tells of what happened in it, once; what waited in the parent stays the parent's."""
    heard = in_a_process(
        """
        emit(100)
        pid = os.fork()
        emit(50)
        bridge.close()
        if pid:
            os.waitpid(pid, 0)
        else:
            os._exit(0)
        """,
        tmp_path,
    )

    by_process: dict[str, list[str]] = {}
    for teller, id in (line.split() for line in heard):
        by_process.setdefault(teller, []).append(id)
    parent, child = sorted(by_process, key=lambda pid: len(by_process[pid]), reverse=True)
    assert [f"{parent}-{n}" for n in [*range(100), *range(50)]] == by_process[parent]
    assert [f"{child}-{n}" for n in range(50)] == by_process[child]


def test_a_fork_that_exits_waits_for_no_thread_of_its_parent(tmp_path: Path):
    """What its parent has not told yet is none of its business, and takes none of its time."""
    heard = in_a_process(
        """
        emit(300)
        pid = os.fork()
        began_s = time.monotonic()
        if not pid:
            import atexit
            atexit._run_exitfuncs()  # those of a child that was begun with a fork are not run otherwise
            os._exit(int(time.monotonic() - began_s > 10))
        assert os.waitpid(pid, 0)[1] == 0
        """,
        tmp_path,
    )

    assert 300 == len(heard)
    assert 1 == len({line.split()[0] for line in heard})


def test_a_worker_in_a_test_returns_when_all_is_heard():
    """``run_pending`` leaves nothing to wait for, also where a process that ends would wait no more."""
    bridge, heard = Bridge(Settings(backend="memory")), []

    @bridge.subscribe(Succeeded)
    def listener(event: Event) -> None:
        time.sleep(FLUSH_S / 4)
        heard.append(event.id)

    task = bridge.task(name="tests.quick", queue="mail")(lambda: None)
    sent = [task.enqueue().id for _ in range(5)]

    Worker(bridge).run_pending()

    assert sent == heard


def test_a_stuck_subscriber_keeps_no_program_from_ending(tmp_path: Path):
    """It ends by itself, and with its own exit code."""
    program = """
        import sys, threading
        from taskbridge import Bridge, Settings
        from taskbridge.events import Succeeded
        bridge = Bridge(Settings(backend="memory"))
        bridge.subscribe(lambda event: threading.Event().wait())
        bridge.events.emit(Succeeded(id="1", task="t", queue="q"))
        sys.exit(3)
    """

    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=30)

    assert ended.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda event: None, "Failed"), "expected kinds of taskbridge.events such as Failed, got 'Failed'"),
        ((lambda event: None, int), "expected kinds of taskbridge.events such as Failed, got <class 'int'>"),
        ((Failed, 7), "expected kinds of taskbridge.events such as Failed, got 7"),
        ((7,), "subscribe: expected a plain function"),
        ((lambda: None,), "subscribe: expected a plain function"),
        ((lambda event, more: None,), "subscribe: expected a plain function"),
    ],
)
def test_what_cannot_be_subscribed_is_refused(bridge: Bridge, arguments: tuple[Any, ...], message: str):
    """When it is declared, with what was expected."""
    with pytest.raises(ConfigError, match=message):
        bridge.subscribe(*arguments)


def test_a_coroutine_is_refused(bridge: Bridge):
    """Nobody would await it."""

    async def listener(event: Event) -> None: ...

    with pytest.raises(ConfigError, match="not an async def"):
        bridge.subscribe(listener)
    with pytest.raises(ConfigError, match="not an async def"):
        bridge.subscribe(Failed)(listener)
