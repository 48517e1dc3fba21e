"""The soft timeout: raised inside the task, wherever it is, until it has left; and never outside of it."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg
import pytest

from taskbridge import alarm
from taskbridge.alarm import Alarm, can_ring
from taskbridge.errors import SoftTimeout
from taskbridge.redis.server import Server
from tests.servers import RedisServer

from .databases import POSTGRES, postgres

SOON_S = 0.05

#: What no case here should ever wait for, seconds.
FOREVER_S = 30.0


@pytest.fixture(autouse=True)
def again_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second is long for a test; afterwards no timer and no handler is left."""
    monkeypatch.setattr(alarm, "AGAIN_S", SOON_S)
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert (0.0, 0.0) == signal.getitimer(signal.ITIMER_REAL)
    assert before is signal.getsignal(signal.SIGALRM)


def run(function: Callable[..., Any], *args: Any, after_s: float = SOON_S) -> Any:
    return Alarm(after_s, asyncio.run).around(function, args, {})


def interrupted(stays: Callable[[], Any]) -> None:
    """What would take for ever meets its timeout, and long before that."""
    began_s = time.monotonic()
    with pytest.raises(SoftTimeout, match=r"soft timeout after 0\.05 s"):
        run(stays)
    assert time.monotonic() - began_s < FOREVER_S / 3


def receive() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def loop() -> None:
    while True:
        pass


def wait_for_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=FOREVER_S)


@pytest.mark.parametrize(
    "stays",
    [
        lambda: time.sleep(FOREVER_S),
        receive,
        loop,
        wait_for_lock,
        lambda: re.match(r"(a+)+$", "a" * 40 + "b"),
        partial(time.sleep, FOREVER_S),
    ],
    ids=["sleep", "recv", "loop", "lock", "regex", "partial"],
)
def test_it_is_raised_wherever_the_task_is(stays: Callable[[], Any]):
    """Out of sleep, a socket, a loop, a lock, and C code that looks for signals."""
    interrupted(stays)


@pytest.mark.service("postgres")
def test_it_is_raised_out_of_a_query(monkeypatch: pytest.MonkeyPatch):
    """PostgreSQL by psycopg; the connection is in the middle of it, so the task closes it."""
    monkeypatch.setattr(alarm, "AGAIN_S", 1.0)  # psycopg looks for signals when it was left alone for 0.1 s
    for _ in postgres():
        with closing(psycopg.connect(POSTGRES, autocommit=True)) as connection:
            interrupted(partial(connection.execute, "SELECT pg_sleep(30)"))

            assert psycopg.pq.TransactionStatus.ACTIVE == connection.info.transaction_status
            connection.cancel()  # for the server would sleep on


@pytest.mark.service("redis")
def test_it_is_raised_out_of_a_trip_to_redis(redis_server: RedisServer):
    """Of the team's own client, and of ours, whose next answer is the next question's."""
    redis_server.cli().flushall()
    theirs, ours = redis_server.cli(), Server(redis_server.url())

    for wait in (lambda: theirs.blpop("nothing"), lambda: ours.call("BLPOP", "nothing", 30)):
        interrupted(wait)
    theirs.rpush("nothing", "late")

    assert (b"late", 1, b"PONG") == (theirs.lindex("nothing", 0), ours.call("LLEN", "nothing"), ours.call("PING"))
    ours.close()


def test_what_is_in_time_is_done():
    """Its value comes back; without a time there is no timer at all."""
    assert "done" == run(lambda: "done", after_s=FOREVER_S)
    assert (0.0, 0.0) == run(lambda: signal.getitimer(signal.ITIMER_REAL), after_s=0)


def test_a_task_that_stays_meets_it_again():
    """Whatever swallows it, it is raised again until the task has left."""
    met = 0

    def stubborn() -> None:
        nonlocal met
        while True:
            try:
                time.sleep(FOREVER_S)
            except SoftTimeout:
                met += 1
                if met == 3:
                    raise

    with pytest.raises(SoftTimeout):
        run(stubborn)

    assert 3 == met


def test_a_task_that_leaves_by_itself_has_not_failed(monkeypatch: pytest.MonkeyPatch):
    """What it returns after it has caught it is its result."""
    monkeypatch.setattr(alarm, "AGAIN_S", FOREVER_S)  # it leaves before that, however busy the machine is

    def tidy() -> str:
        try:
            time.sleep(FOREVER_S)
        except SoftTimeout:
            return "half of it"
        return "all of it"

    assert "half of it" == run(tidy)


def test_a_signal_as_the_task_ends_leaves_no_trace():
    """Whenever it comes, the task has its result or was interrupted, and what comes after it is left alone."""
    for _ in range(500):
        try:
            assert 1225 == run(lambda: sum(range(50)), after_s=random.uniform(1e-6, 3e-5))
        except SoftTimeout:
            continue


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_signal_in_our_own_frames_is_nothing(where: str, monkeypatch: pytest.MonkeyPatch):
    """Between the timer's start and the task, and between the task and the timer's end."""
    set_timer = signal.setitimer

    def ring_too(which: int, seconds: float, again_s: float = 0.0) -> Any:
        if (where == "before") == bool(seconds):
            signal.raise_signal(signal.SIGALRM)
        return set_timer(signal.ITIMER_REAL, seconds, again_s)

    monkeypatch.setattr(signal, "setitimer", ring_too)
    handled: list[Any] = []
    ring = Alarm._ring

    def seen(self: Alarm, number: int, frame: Any) -> None:
        handled.append(frame.f_code)
        ring(self, number, frame.f_back if frame.f_code is ring_too.__code__ else frame)

    monkeypatch.setattr(Alarm, "_ring", seen)

    assert "done" == run(lambda: "done", after_s=FOREVER_S)

    assert [ring_too.__code__] == handled


def test_only_the_main_thread_can_have_one():
    """Elsewhere a signal raises nothing, and whoever asks is told."""
    told: list[bool] = []

    thread = threading.Thread(target=lambda: told.append(can_ring()))
    thread.start()
    thread.join()

    assert ([False], True) == (told, can_ring())


async def waits() -> None:
    await asyncio.sleep(FOREVER_S)


async def blocks() -> None:
    time.sleep(FOREVER_S)  # noqa: ASYNC251


async def gathers() -> None:
    await asyncio.gather(asyncio.sleep(FOREVER_S), asyncio.sleep(FOREVER_S))


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(FOREVER_S))
        await asyncio.sleep(FOREVER_S)


async def under_a_timeout() -> None:
    async with asyncio.timeout(FOREVER_S):
        await asyncio.sleep(FOREVER_S)


async def beside_a_block() -> None:
    async def block() -> None:
        time.sleep(FOREVER_S)  # noqa: ASYNC251

    await asyncio.create_task(block())


@pytest.mark.parametrize("stays", [waits, blocks, gathers, in_a_group, under_a_timeout, beside_a_block])
def test_it_is_raised_inside_a_coroutine(stays: Callable[[], Coroutine[Any, Any, None]]):
    """Where it waits, where it blocks, in what it awaits, and when what runs beside it keeps the loop from going on."""
    met: list[type[BaseException]] = []

    async def task() -> None:
        try:
            await stays()
        except BaseException as error:
            met.append(type(error))
            raise

    with pytest.raises((SoftTimeout, BaseExceptionGroup)):
        run(task)

    assert 1 == len(met)
    assert issubclass(met[0], SoftTimeout | ExceptionGroup)


def test_a_coroutine_meets_it_again_and_ends_well(monkeypatch: pytest.MonkeyPatch):
    """Swallowed at one await it comes at the next; one that leaves by itself is done and is not cancelled."""
    monkeypatch.setattr(alarm, "AGAIN_S", 2.0)  # it has left when it would come for the third time
    met: list[int] = []

    async def tidy() -> str:
        for n in range(2):
            try:
                await asyncio.sleep(FOREVER_S)
            except SoftTimeout:
                met.append(n)
        task = asyncio.current_task()
        assert task is not None
        assert 0 == task.cancelling()
        return "half of it"

    assert "half of it" == run(tidy)
    assert [0, 1] == met


def test_a_signal_around_a_coroutine_is_nothing():
    """Before its first step, and while the loop is tidied up behind it: it has its result."""

    def ringing(coroutine: Coroutine[Any, Any, Any]) -> Any:
        signal.raise_signal(signal.SIGALRM)
        result = asyncio.run(coroutine)
        signal.raise_signal(signal.SIGALRM)
        return result

    async def quick() -> str:
        return "done"

    assert "done" == Alarm(FOREVER_S, ringing).around(quick, (), {})


def test_a_coroutine_that_cancels_is_not_taken_for_it():
    """What asyncio cancels for its own reasons is cancelled."""

    async def gives_up() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(FOREVER_S)
        except TimeoutError:
            return "its own"
        return "none"

    assert "its own" == run(gives_up, after_s=FOREVER_S)


def test_a_coroutine_in_time_is_done():
    """Its value comes back."""

    async def quick() -> str:
        await asyncio.sleep(0)
        return "done"

    assert "done" == run(quick, after_s=FOREVER_S)
