"""Code that holds locks and limits: in turn, with its own lease, and without a trace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from taskbridge import Bridge, LockHeld, RateLimit, Settings
from taskbridge.errors import ClaimLost, ConfigError, StoreUnavailable
from taskbridge.holding import Hold
from taskbridge.message import Message
from taskbridge.needs import NeedsLock
from taskbridge.store import Begin
from tests.servers import RedisServer, until


@pytest.fixture(params=["memory", "redis"])
def holder(request: pytest.FixtureRequest) -> Iterator[Bridge]:
    """A bridge whose store is in memory, or in Redis."""
    if request.param == "memory":
        bridge = Bridge(Settings(backend="memory"))
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        server.cli().flushall()
        bridge = Bridge(Settings(backend="celery", broker_url=server.url()))
    yield bridge
    bridge.close()


def second(bridge: Bridge, timeout: float) -> AbstractContextManager[Hold]:
    """Ask for it once more."""
    return bridge.lock("user:7", timeout=timeout)


def test_lock_is_held_inside_the_block(holder: Bridge):
    """By nobody else meanwhile; free afterwards, whatever the block raised."""
    with pytest.raises(ZeroDivisionError), holder.lock("user:7"):
        with pytest.raises(LockHeld, match=r"the lock user:7 was not to be had within 0\.05 s"), second(holder, 0.05):
            raise AssertionError("two hold it")
        raise ZeroDivisionError

    with holder.lock("user:7", timeout=timedelta(0)) as one, holder.lock("user:8", timeout=0) as other:
        assert one.fencing_token < other.fencing_token
    assert [] == holder.store.waiting.locks()


def test_waiters_are_woken_in_their_order(holder: Bridge):
    """The release wakes whoever has waited longest."""
    order: list[int] = []

    def wait(n: int) -> None:
        with holder.lock("user:7"):
            order.append(n)

    threads = [threading.Thread(target=wait, args=(n,)) for n in range(3)]
    with holder.lock("user:7"):
        for n, thread in enumerate(threads):
            thread.start()
            until(lambda n=n: holder.store.waiting.locks()[0].waiting == n + 1, 20, f"{n} to wait")  # type: ignore[misc]
    for thread in threads:
        thread.join(20)

    assert [0, 1, 2] == order


def test_semaphore_lets_so_many_in(holder: Bridge):
    """``at_most=2`` is held twice, not three times."""
    third = holder.lock("pool", at_most=2, timeout=0)
    with holder.lock("pool", at_most=2), holder.lock("pool", at_most=2), pytest.raises(LockHeld), third:
        raise AssertionError("three hold it")


def test_who_gave_up_is_not_waited_for(holder: Bridge):
    """A waiter that timed out leaves the line: the next release is not kept for it."""
    with holder.lock("user:7"), pytest.raises(LockHeld), holder.lock("user:7", timeout=0.05):
        raise AssertionError("two hold it")

    with holder.lock("user:7", timeout=0):
        assert 1 == len(holder.store.waiting.locks())


def test_who_is_interrupted_leaves_the_line(holder: Bridge, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C or a soft timeout while it waits: the next release is not kept for it."""

    def interrupted(_id: str, _timeout_s: float) -> bool:
        raise KeyboardInterrupt

    with holder.lock("user:7"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(holder.store.waiting, "await_turn", interrupted)
            holder.lock("user:7").__enter__()
        (lock,) = holder.store.waiting.locks()

    assert 0 == lock.waiting
    assert [] == holder.store.waiting.locks()


def test_lock_that_was_lost_meanwhile_is_told(holder: Bridge):
    """At the end of the block: what it did was not protected."""
    with pytest.raises(ClaimLost, match="the lock user:7 was lost while it was held"), holder.lock("user:7"):
        (lock,) = holder.store.waiting.locks()
        lose(holder, lock.holders[0])


def lose(bridge: Bridge, id: str) -> None:
    """Take its claim away, as a sweep does one lease after its last renewal."""
    record = bridge.store.messages.look(id)
    assert record is not None
    assert bridge.store.claims.lose(id, record.claim)


def test_limit_is_held_at_its_pace(holder: Bridge):
    """The turn is taken at the start of the block, also where no worker and so no relay runs."""
    limit = holder.limit(RateLimit("10/s", burst=1, name="provider", key="{bank}"))
    clock = holder.clock
    began_s = clock.monotonic_s()

    for _ in range(3):
        with limit.hold(bank=1):
            pass
    with limit.hold(bank=2):
        pass

    assert 0.2 <= clock.monotonic_s() - began_s + 0.002
    seldom = holder.limit(RateLimit("1/h", burst=1, name="seldom"))
    with seldom.hold():
        pass
    told = r"the limit seldom was not to be had within 0\.01 s"
    with pytest.raises(LockHeld, match=told), seldom.hold(timeout=0.01):
        raise AssertionError("it is had before its time")


def test_key_that_is_paused_is_told_so(holder: Bridge):
    """Nobody has it: what is to be done is said."""
    holder.store.control.pause("key", "user:7", who="ann", why="")

    told = r"within 0\.01 s: the key user:7 is paused; taskbridge control resume key user:7"
    with pytest.raises(LockHeld, match=told), second(holder, 0.01):
        raise AssertionError("it is held")


def test_resumed_key_is_had_behind_one_that_is_gone(redis_server: RedisServer):
    """Whose process died while it waited there, where no relay runs that would see it."""
    redis_server.cli().flushall()
    bridge = Bridge(Settings(backend="celery", broker_url=redis_server.url()))
    control, held = bridge.store.control, threading.Event()
    control.pause("key", "user:7", who="ann", why="")
    gone = Message(id="hold-gone", task="", queue="")
    needs = (NeedsLock("user:7"),)
    bridge.store.claims.begin(Begin(message=gone, body=b"", claim="c", max_crashes=0, locks=needs, hold=True))

    def wait() -> None:
        with bridge.lock("user:7"):
            held.set()

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: control.pauses()[0].waiting == 2, 20, "both to wait")
    assert 1 == redis_server.cli().delete("{taskbridge}:m:hold-gone")  # as when its time is over
    assert 2 == control.resume("key", "user:7")

    assert held.wait(20)
    thread.join()
    assert [] == control.pauses()
    bridge.close()


def test_wrong_holds_are_refused(holder: Bridge):
    """A limit without a name, a value that its key names, a lock without a key."""
    with pytest.raises(ConfigError, match=r"needs a name, such as RateLimit\('70/s', name='provider'\)"):
        holder.limit(RateLimit("70/s"))
    limit = holder.limit(RateLimit("70/s", name="provider", key="{bank}"))
    with pytest.raises(ConfigError, match=r"the limit provider needs 'bank': hold\(bank="), limit.hold():
        raise AssertionError("held")
    with pytest.raises(ConfigError, match="expected a key"):
        holder.lock(" ")


def test_absent_store_is_told():
    """Nothing runs unguarded: what needs the store raises."""
    bridge = Bridge(Settings(backend="celery", broker_url="redis://localhost:1/0"))

    with pytest.raises(StoreUnavailable), bridge.lock("user:7"):
        raise AssertionError("held")

    bridge.close()
