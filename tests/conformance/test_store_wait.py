"""What only the store knows is on a replica before anybody forgets it: ``store_wait``, on real servers.

A replica that is stopped confirms nothing. From Redis 7.2 on WAIT counts only what its own connection has written, so
every law is tried on a server of before, 7.0 or 6.2, and on Valkey, which is one of after.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from taskbridge.errors import StoreUnavailable, StoreUnconfirmed
from taskbridge.message import Message, encode
from taskbridge.store import Begin, Finish, Held
from taskbridge.store.redis import RedisStore
from taskbridge.testing import a_message
from taskbridge.testing.laws.steps import begin, finish, state, take
from tests.servers import (
    acknowledged,
    missing,
    old_redis,
    some_redis,
    until,
    valkey,
)

from .forgetting import FORGETS, LOCK, NAMESPACE, Pair, confirmed, paired, running

pytestmark = pytest.mark.service("redis")


@pytest.fixture(scope="module", params=["path", "oldest", "valkey"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    binaries: dict[str, Callable[[], str | None]] = {"path": some_redis, "oldest": old_redis, "valkey": valkey}
    binary = binaries[request.param]() or missing(f"the server called {request.param!r}")
    with paired(binary) as pair:
        yield pair


@pytest.fixture(autouse=True)
def _emptied(request: pytest.FixtureRequest) -> None:
    if "pair" in request.fixturenames:
        request.getfixturevalue("pair").primary.cli().flushall()


@pytest.mark.parametrize("what", FORGETS)
def test_what_lets_a_message_be_forgotten_waits_for_the_replica(pair: Pair, what: str) -> None:
    """It is not answered while the replica hangs; asked again, it is answered as if it had been confirmed at once."""
    prepare, expected = FORGETS[what]
    call = prepare(pair.store)

    with pair.stopped():
        for _ in range(2):
            with pytest.raises(StoreUnconfirmed, match=r"no replica has confirmed within 0\.1 s"):
                call(pair.store)

    assert expected == confirmed(partial(call, pair.store))


@pytest.mark.parametrize("what", ["done", "settled", "stale", "cancelled"])
def test_a_new_connection_waits_for_what_an_old_one_has_written(pair: Pair, what: str) -> None:
    """What a connection finds done is confirmed to it, too, though it has written nothing itself."""
    call = FORGETS[what][0](pair.store)

    with pair.stopped(), closing(pair.new_store()) as other:
        with pytest.raises(StoreUnconfirmed):
            call(pair.store)

        with pytest.raises(StoreUnconfirmed):
            call(other)


def test_what_is_asked_again_is_what_was_confirmed(pair: Pair) -> None:
    """A message that another server lets run is run there: nothing of before is told of it."""
    message = a_message()
    running(pair.store, "c1", locks=LOCK)
    with pair.stopped(), pytest.raises(StoreUnconfirmed):
        begin(pair.store, message, "c2", locks=LOCK)
    pair.primary.cli().flushall()  # as a replica that was promoted, and had none of it

    assert "run" == begin(pair.store, message, "c2", locks=LOCK).verdict
    ending = partial(finish, pair.store, message, "c2")
    assert ("ok", "mine") == (confirmed(ending), confirmed(ending))


def test_what_another_server_lets_run_is_run_when_it_is_asked_with_an_end(pair: Pair) -> None:
    """The same on the trip that tells what ended; that is unknown there, and goes back to its broker."""
    running(pair.store, "c0", locks=LOCK)
    ended, following = running(pair.store), a_message()
    ending = Finish(id=ended.id, claim="c1", state="DONE")
    asking = Begin(message=following, body=encode(following), claim="c2", max_crashes=3, locks=LOCK)
    with pair.stopped(), pytest.raises(StoreUnconfirmed):
        pair.store.claims.finish_and_begin(ending, asking)
    pair.primary.cli().flushall()

    answer, begun = confirmed(partial(pair.store.claims.finish_and_begin, ending, asking))

    assert ("unknown", "run") == (answer, begun.verdict)


def test_what_nobody_forgets_waits_for_nothing(pair: Pair) -> None:
    """What runs, what a broker on the same server acknowledges in the step, what code holds, and a relay's work."""
    held = Held(f"{{{NAMESPACE}}}:held:me", "1")
    delayed = a_message()
    pair.store.outbox.put([delayed], 0)
    acknowledged_here, raw = running(pair.store, held=held), b"no message"

    with pair.stopped():
        assert "run" == begin(pair.store, a_message(), "c2").verdict
        assert "ok" == finish(pair.store, acknowledged_here, held=held)
        assert "settled" == begin(pair.store, acknowledged_here, "c3", held=held).verdict
        pair.store.dead.bury("raw", "mail", raw, "it is none", held)
        hold = a_message(id="hold-1")
        assert "run" == begin(pair.store, hold, "code", locks=LOCK, hold=True).verdict
        assert "locked" == begin(pair.store, a_message(id="hold-2"), "other", locks=LOCK, hold=True).verdict
        assert "ok" == finish(pair.store, hold, "code", hold=True)
        pair.store.claims.renew([(delayed.id, "c1")])
        (due,) = take(pair.store)
        pair.store.outbox.mark([(due.id, due.seq)])


def test_without_the_setting_nothing_waits(pair: Pair) -> None:
    """A store that was told nothing is as it was."""
    with pair.stopped(), closing(RedisStore(pair.primary.url(), NAMESPACE)) as store:
        for prepare, expected in FORGETS.values():
            pair.primary.cli().flushall()
            assert expected == prepare(store)(store)


def test_work_that_ends_goes_on_in_a_full_store_and_waits(pair: Pair) -> None:
    """A server without memory confirms what ends."""
    message = running(pair.store)
    pair.primary.cli().config_set("maxmemory", "1")
    try:
        assert "ok" == confirmed(partial(finish, pair.store, message))
        assert "settled" == confirmed(lambda: begin(pair.store, message, "c2").verdict)
    finally:
        pair.primary.cli().config_set("maxmemory", "0")


def test_a_server_that_forgot_its_scripts_confirms(pair: Pair) -> None:
    """After SCRIPT FLUSH all of a trip is sent again, and what is waited for with it."""
    message = running(pair.store)
    pair.primary.cli().script_flush()

    assert "ok" == confirmed(partial(finish, pair.store, message))
    with pair.stopped():
        pair.primary.cli().script_flush()
        with pytest.raises(StoreUnconfirmed):
            list(pair.store.outbox.put_all([[a_message()]], 60_000))


def test_a_server_that_was_made_a_replica_confirms_nothing(pair: Pair) -> None:
    """A primary that is one no more is away, and what it was told is not confirmed."""
    message = running(pair.store)
    pair.primary.cli().replicaof(pair.primary.port, 1)
    try:
        with pytest.raises(StoreUnavailable):
            finish(pair.store, message)
    finally:
        pair.primary.cli().replicaof("NO", "ONE")
    until(lambda: acknowledged(pair.primary), 20, "the replica follows")

    assert "ok" == confirmed(partial(finish, pair.store, message))


#: Pairs whose primary is killed, and how many messages are at work when it is.
KILLS, AT_WORK = 12, 4


def test_what_was_answered_is_known_to_the_replica_that_is_promoted() -> None:
    """A primary is killed at any moment, twelve times: what ``finish`` and ``put`` returned of is there."""
    for _ in range(KILLS):
        with paired() as pair:
            done, kept = told_until_killed(pair)
            pair.replica.cli().replicaof("NO", "ONE")
            with closing(RedisStore(pair.replica.url(), NAMESPACE)) as store:
                assert {"DONE"} == {state(store, message)[0] for message in done}
                assert {"DELAYED"} == {state(store, message)[0] for message in kept}


def told_until_killed(pair: Pair) -> tuple[list[Message], list[Message]]:
    """Finish and keep messages on several connections until the primary is killed; returns those that were answered."""
    done: list[Message] = []
    kept: list[Message] = []
    enough = threading.Event()

    def work(number: int) -> None:
        with closing(pair.new_store()) as store:
            try:
                while True:
                    message, later = a_message(), a_message()
                    begin(store, message, f"c{number}")
                    assert "ok" == confirmed(partial(finish, store, message, f"c{number}"))
                    done.append(message)
                    confirmed(partial(store.outbox.put, [later], 60_000))
                    kept.append(later)
                    if len(done) > 50:
                        enough.set()
            except StoreUnavailable:
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(AT_WORK)]
    for thread in threads:
        thread.start()
    assert enough.wait(20)
    if random.random() < 0.5:  # some of what was told is not on the replica then
        pair.replica.pause()
        enough.wait(random.random() / 20)
    pair.primary.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    pair.replica.resume()
    return done, kept


def test_a_server_with_a_replica_is_fit(pair: Pair) -> None:
    """Nothing is found, on old servers and new."""
    found = pair.store.fitness()

    assert ((), (), ()) == (found.fatal, found.missing, found.warnings)
