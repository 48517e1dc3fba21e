"""The decision is late: whatever lay in the store goes where traffic goes when it leaves it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from taskbridge import Bridge, Settings
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.config import BackendSettings
from taskbridge.message import Flow, Message, decode
from taskbridge.needs import NeedsLock, NeedsTokens, Same, Within
from taskbridge.relay import relay_of
from taskbridge.routing import Rule, Table
from taskbridge.routing.router import TTL_S
from taskbridge.routing.rules import place_of_key
from taskbridge.routing.table import encode as written
from taskbridge.store import LAST_RESORT_MS, LEASE_MS, Finish, Store
from taskbridge.store.flow import HOLE, Follower
from taskbridge.testing import FakeClock, a_message
from taskbridge.testing.laws import chunks
from taskbridge.testing.laws.schedules import declare, fire
from taskbridge.testing.laws.steps import begin, finish, publish, run

from ..conftest import BridgeClock
from .patience import PATIENCE_S

ENGINES = {name: BackendSettings(engine="memory") for name in ("old", "new")}


@pytest.fixture
def bridge(clock: BridgeClock) -> Bridge:
    """Two engines; what no rule takes goes to the old one."""
    made = Bridge(Settings(backend="old", backends=ENGINES))
    made.clock = clock
    return made


class Relayed:
    """A relay of the bridge, and what it has published where."""

    def __init__(self, bridge: Bridge, clock: FakeClock) -> None:
        self.bridge, self.clock = bridge, clock
        self.relay = relay_of(bridge.sender, "here", patience_s=PATIENCE_S)
        assert self.relay.lead()
        self.relay.tick()  # it has seen the routes as they were

    def change(self, *rules: Rule) -> None:
        version = self.bridge.store.routes.read() or None
        assert self.bridge.store.routes.write(
            version.version if version else 0, written(Table(rules=rules)), who="", note=""
        )
        self.clock.advance(TTL_S)

    def waiting(self, name: str) -> list[Message]:
        while self.relay.tick():
            pass
        backend = self.bridge.backend(name)
        return [one for queue in ("mail", "walks") for one in backend.scan(queue, 1_000)]


@pytest.fixture
def relayed(bridge: Bridge, clock: BridgeClock) -> Relayed:
    return Relayed(bridge, clock)


Way = Callable[[Store], Callable[[], object]]


def delayed(store: Store) -> Callable[[], object]:
    store.outbox.put([a_message()], 500)
    return lambda: None


def unique(store: Store) -> Callable[[], object]:
    store.outbox.put_once([a_message()], [(Same("k", "until_done", LAST_RESORT_MS),)], 500)
    return lambda: None


def retried(store: Store) -> Callable[[], object]:
    run(store, a_message(), state="DELAYED", counted=True, due_ms=500)
    return lambda: None


def rescheduled(store: Store) -> Callable[[], object]:
    begin(store, message := a_message())
    return lambda: finish(store, message, state="READY")


def parked(store: Store) -> Callable[[], object]:
    run(store, a_message(), state="PARKED", ran=False, due_ms=60_000, group="g")
    return lambda: store.parked.release("g", 10)


def locked(store: Store) -> Callable[[], object]:
    needs = (NeedsLock("user:7"),)
    begin(store, holder := a_message(), locks=needs)
    assert "locked" == begin(store, a_message(), "c2", locks=needs).verdict
    return lambda: finish(store, holder)


def throttled(store: Store) -> Callable[[], object]:
    rates = (NeedsTokens("slow", "slow", 600_000, 1),)
    begin(store, a_message(), rates=rates)
    assert "throttled" == begin(store, a_message(), "c2", rates=rates).verdict
    return lambda: None


def lost(store: Store) -> Callable[[], object]:
    begin(store, message := a_message())
    return lambda: store.claims.lose(message.id, "c1")


def given_back(store: Store) -> Callable[[], object]:
    begin(store, message := a_message())
    return lambda: store.claims.release(message.id, "c1")


def replayed(store: Store) -> Callable[[], object]:
    run(store, message := a_message(), state="DEAD", why="no")
    return lambda: store.dead.replay(message.id)


def linked(store: Store) -> Callable[[], object]:
    first, second = (a_message(id=f"k:{n}", flow=Flow(chain="k", link=n)) for n in range(2))
    store.chains.keep("k", [Follower(message=second)], on_error="stop", call=None)
    store.outbox.put([first], 0)
    (copy,) = publish(store)
    begin(store, copy)
    return lambda: finish(store, copy)


def called_back(store: Store) -> Callable[[], object]:
    store.batches.open("b", when="all_done", then=Follower(message=a_message()), error=None)
    store.outbox.put([a_message()], 0, Within(batches=("b",)))
    (copy,) = publish(store)
    begin(store, copy)
    store.batches.seal("b")
    return lambda: finish(store, copy)


def chunked(store: Store) -> Callable[[], object]:
    chunk = chunks.start(store)
    return lambda: chunks.goes_on(store, chunk, "c0")


def held(store: Store) -> Callable[[], object]:
    chunk = chunks.start(store)
    store.runs.steer(chunk.id, "pause")
    chunks.goes_on(store, chunk, "c0")
    return lambda: store.runs.steer(chunk.id, "resume")


def ticked(store: Store) -> Callable[[], object]:
    declare(store)
    assert "fired" == fire(store, a_message(), wait_ms=500)
    return lambda: None


WAYS = [delayed, unique, retried, rescheduled, parked, locked, throttled, lost, given_back, replayed]
WAYS += [linked, called_back, chunked, held, ticked]


@pytest.mark.parametrize("way", WAYS)
def test_what_lay_in_the_store_goes_where_traffic_goes_now(relayed: Relayed, way: Way):
    """It was enqueued, or begun, before the change; and so is what the store makes by itself."""
    let_go = way(relayed.bridge.store)

    relayed.change(Rule(id="r1", to="new", task="*"))
    let_go()

    assert (0, 1) == (len(relayed.waiting("old")), len(relayed.waiting("new")))


def test_and_back_again(relayed: Relayed):
    """What is published is the engine's; what is not goes back with the rest."""
    store = relayed.bridge.store
    relayed.change(Rule(id="r1", to="new", task="*"))
    store.outbox.put([a_message()], 0)
    store.outbox.put([a_message()], 5_000)
    assert 1 == len(relayed.waiting("new"))

    relayed.change()
    relayed.clock.advance(5)

    assert (1, 1) == (len(relayed.waiting("old")), len(relayed.waiting("new")))


#: A user who is moved by a share of half.
MOVED = next(n for n in range(100) if place_of_key(str(n)) < 50)


@pytest.mark.parametrize(
    ("args", "kwargs", "sticky"),
    [
        (b"[]", b'{"user":%d}' % MOVED, True),
        (b"[%d]" % MOVED, b"{}", True),
        (b"[]", b"{}", False),
    ],
)
def test_key_is_made_of_what_was_not_stamped(relayed: Relayed, args: bytes, kwargs: bytes, sticky: bool):
    """By name, or by position as a live worker announces the task; where that does not do, the id is the key."""
    store = relayed.bridge.store
    known = {"tests.send": Known(queue="mail", positional=("user",))}
    told = Announcement(
        name="w", backends=["old"], queues=["mail"], processes=1, tasks={"tests.send": ["user"]}, known=known
    )
    announce(store, told)
    store.outbox.put([a_message(args=msgspec.Raw(args), kwargs=msgspec.Raw(kwargs)) for _ in range(40)], 0)

    relayed.change(Rule(id="r1", to="new", task="*", share=50, key="{user}"))

    assert sticky is (0 == len(relayed.waiting("old")))
    assert 40 == len(relayed.waiting("old")) + len(relayed.waiting("new"))


def test_link_is_shared_by_the_result_that_it_was_given(relayed: Relayed):
    """The store has filled it in; the relay knows where it stands."""
    store = relayed.bridge.store
    known = {"tests.send": Known(queue="mail", positional=("user",))}
    announce(store, Announcement(name="w", backends=[], queues=[], processes=1, tasks={}, known=known))
    hole = msgspec.Raw(msgspec.json.encode([HOLE]))
    copies = []
    for n in range(40):
        first, second = (a_message(id=f"k{n}:{at}", flow=Flow(chain=f"k{n}", link=at, gives=not at)) for at in range(2))
        store.chains.keep(f"k{n}", [Follower(message=second.copy(args=hole))], on_error="stop", call=None)
        store.outbox.put([first], 0)
        copies += publish(store)
    relayed.change(Rule(id="r1", to="new", task="*", share=50, key="{user}"))

    for copy in copies:
        begin(store, copy)
        store.claims.finish(Finish(id=copy.id, claim="c1", state="DONE", result=b"%d" % MOVED))

    assert (0, 40) == (len(relayed.waiting("old")), len(relayed.waiting("new")))


def test_next_chunk_keeps_the_key_of_its_run(relayed: Relayed):
    """It was made where the run was enqueued: all chunks go one way."""
    store = relayed.bridge.store
    relayed.change(Rule(id="r1", to="new", task="*", share=50, key="{user}"))
    begun = [chunks.start(store, message=chunks.a_run(route_keys={"{user}": str(MOVED)})) for _ in range(20)]
    for chunk in begun:
        chunks.goes_on(store, chunk, "c0")

    assert (0, 20) == (len(relayed.waiting("old")), len(relayed.waiting("new")))


def test_what_a_lapsed_claim_held_goes_where_traffic_goes_now(relayed: Relayed, clock: BridgeClock):
    """Its worker, on the old engine, is gone."""
    begin(relayed.bridge.store, a_message())
    relayed.change(Rule(id="r1", to="new", task="*"))

    for _ in range(LEASE_MS // 1000 + 2):
        clock.advance(1)
        relayed.relay.lead()
        relayed.relay.tick()

    assert (0, 1) == (len(relayed.waiting("old")), len(relayed.waiting("new")))


def test_message_that_an_older_release_wrote_is_routed(relayed: Relayed):
    """It has neither tags nor keys."""
    body = b'{"id":"1","task":"t","queue":"mail","kwargs":{"user":%d}}' % MOVED
    relayed.bridge.store.outbox.put([decode(body)], 0)

    relayed.change(Rule(id="r1", to="new", task="*", share=50, key="{user}"))

    assert 1 == len(relayed.waiting("new"))
