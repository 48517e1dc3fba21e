"""The laws of chains: what follows a link is made in the step that ends it, and once, whatever dies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from ...errors import ConfigError
from ...message import Flow, Message, decode, encode
from ...needs import NeedsLock, Within
from ...store import LONG_WINDOW_MS, Store
from ...store.flow import HOLE, ChainState, Follower, Next
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, run, state, take

DAY_MS = 24 * 3_600_000

#: Where the result goes, and an argument behind it.
OPEN = Raw(json.dumps([HOLE, "mine"]).encode())


def a_link(chain: str, n: int, **changes: Any) -> Message:
    """One link as the store keeps it; the first has no argument left open."""
    fields: dict[str, Any] = {"args": OPEN if n else Raw(b"[]"), "flow": Flow(chain=chain, link=n)}
    return a_message(**({"id": f"{chain}:{n}"} | fields | changes))


def keep(store: Store, chain: str, links: int, on_error: str = "stop", call: Follower | None = None) -> None:
    """Keep all links but the first."""
    others = [Follower(message=a_link(chain, n)) for n in range(1, links)]
    store.chains.keep(chain, others, on_error=on_error, call=call)


def start(store: Store, chain: str, links: int = 3, on_error: str = "stop", **more: Any) -> Message:
    """Keep the links, put the first and publish it; returns its copy."""
    within = more.pop("within", Within())
    keep(store, chain, links, on_error, **more)
    store.outbox.put([a_link(chain, 0)], 0, within)
    return the_only(publish(store))


def the_only(copies: Sequence[Message]) -> Message:
    (copy,) = copies
    return copy


def go_on(store: Store, copy: Message, claim: str = "c1", **more: Any) -> list[Message]:
    """Run a link to its end; returns what a relay publishes then."""
    assert "ok" == run(store, copy, claim, **more)
    return publish(store)


def args(message: Message) -> list[Any]:
    found: list[Any] = json.loads(bytes(message.args))
    return found


def left(store: Store, chain: str) -> tuple[int, int] | None:
    """Where it stands and how many follow; None when it has ended."""
    found = store.chains.look(chain)
    return (found.at, found.left) if found else None


def lost_again(laws: Laws, store: Store, copy: Message) -> None:
    """Its worker dies, and dies again."""
    begin(store, copy, "c1", max_crashes=1)
    store.claims.lose(copy.id, "c1")
    begin(store, the_only(publish(store)), "c2", max_crashes=1)
    store.claims.lose(copy.id, "c2")


def lapsed(laws: Laws, store: Store, copy: Message) -> None:
    """Its claim lapses, and it may not."""
    store.claims.sweep(10)
    begin(store, copy, "c1", max_crashes=0)
    laws.a_lease_passes(store)


def parked_too_long(laws: Laws, store: Store, copy: Message) -> None:
    """No worker knew it in time."""
    run(store, copy, "c1", "PARKED", ran=False, due_ms=1_000, group="g")
    laws.advance(store, 1_001)
    store.parked.overdue(10)


def failed(laws: Laws, store: Store, copy: Message) -> None:
    """It has failed for the last time."""
    run(store, copy, "c1", "DEAD", why="ValueError: no")


def expired(laws: Laws, store: Store, copy: Message) -> None:
    """It was not begun in time."""
    assert "expired" == begin(store, copy.copy(expires_at_ms=1)).verdict


def skipped(laws: Laws, store: Store, copy: Message) -> None:
    """Its lock is held, and it does not wait."""
    lock = (NeedsLock("l", "skip"),)
    begin(store, a_message(), "other", locks=lock)
    assert "skipped" == begin(store, copy, locks=lock).verdict


def dropped(laws: Laws, store: Store, copy: Message) -> None:
    """It asked to be."""
    run(store, copy, "c1", why="dropped: no such user")


FAILURES = [failed, lost_again, lapsed, parked_too_long]
DROPS = [expired, skipped, dropped]


class ChainLaws(Laws):
    """``keep``, ``look`` and ``newest``; and what ``finish`` and the dead letters lead to."""

    def test_link_that_is_done_makes_the_next(self, store: Store) -> None:
        """In the same step, with the result before its own arguments; links come one by one, in order, each once."""
        copy, seen = start(store, "k", 4), []
        for n in range(1, 4):
            assert (n - 1, 4 - n) == left(store, "k")
            assert "ok" == run(store, copy, result=b'{"n":%d}' % n)
            assert ("READY", 1) == state(store, a_link("k", n))
            copy = the_only(publish(store))
            seen.append((copy.id, *args(copy)))

        assert [(f"k:{n}", {"n": n}, "mine") for n in range(1, 4)] == seen
        assert [] == go_on(store, copy, result=b"1")
        assert None is store.chains.look("k")

    def test_only_what_is_done_makes_the_next(self, store: Store) -> None:
        """A retry, a wait and a claim that was lost make nothing."""
        copy = start(store, "k")
        for n, how in enumerate(("READY", "DELAYED", "PARKED")):
            run(store, copy, f"c{n}", how, ran=how != "PARKED", due_ms=60_000 if how == "PARKED" else 0, group="g")
            store.parked.release("g", 1)
            copy = the_only(publish(store))
            assert "k:0" == copy.id
        begin(store, copy, "mine")
        store.claims.lose(copy.id, "mine")

        assert "refused" == finish(store, copy, "mine", result=b"1")

        assert "k:0" == the_only(publish(store)).id
        assert (0, 2) == left(store, "k")

    def test_finish_that_is_repeated_makes_one(self, store: Store) -> None:
        """Its answer was lost; the next has gone on meanwhile."""
        copy = start(store, "k")
        begin(store, copy)
        finish(store, copy, result=b"1")
        begin(store, the_only(publish(store)), "c2")

        assert "mine" == finish(store, copy, result=b"2")

        assert [] == publish(store)
        assert (1, 1) == left(store, "k")
        assert "RUN" == look(store, a_link("k", 1)).state

    @pytest.mark.parametrize(
        "result", ["%1 %0 %%", HOLE, {"a": [HOLE, "\\", '"', "\n", "é€😀"]}, None, [], 1.5, "x" * 60_000]
    )
    def test_result_comes_as_it_went(self, store: Store, result: object) -> None:
        """Whatever is in it; the first place that waits for one is filled, and no other."""
        keep(store, "k", 1)
        two = a_link("k", 1, args=Raw(json.dumps([HOLE, HOLE]).encode()))
        store.chains.keep("k", [Follower(message=two)], on_error="stop", call=None)
        store.outbox.put([a_link("k", 0)], 0)

        (following,) = go_on(store, the_only(publish(store)), result=json.dumps(result).encode())

        assert [result, HOLE] == args(following)

    def test_link_that_takes_no_result_is_left_as_it_is(self, store: Store) -> None:
        """And one that was given none has null."""
        closed = a_link("k", 1, args=Raw(b'["own"]'))
        store.chains.keep("k", [Follower(message=closed), Follower(message=a_link("k", 2))], on_error="stop", call=None)
        store.outbox.put([a_link("k", 0)], 0)

        (second,) = go_on(store, the_only(publish(store)), result=b'"given"')
        (third,) = go_on(store, second)

        assert (["own"], [None, "mine"]) == (args(second), args(third))

    def test_delay_counts_from_when_the_link_is_ready(self, store: Store) -> None:
        """Its wait begins with the end of the one before."""
        later = Follower(message=a_link("k", 1), wait_ms=60_000)
        store.chains.keep("k", [later], on_error="stop", call=None)
        store.outbox.put([a_link("k", 0)], 0)
        (copy,) = publish(store)
        self.advance(store, 300_000)

        assert [] == go_on(store, copy)
        assert "DELAYED" == look(store, a_link("k", 1)).state
        self.advance(store, 60_001)
        assert "k:1" == the_only(publish(store)).id

    def test_times_of_a_link_count_from_when_it_is_made(self, store: Store) -> None:
        """However late a relay stamps it, and however often one dies over it; a retry keeps its stamp."""
        copy, before_ms = start(store, "k", 2), store.now_ms()
        run(store, copy, "c0")
        after_ms = store.now_ms()
        self.a_relay_died_over(store)
        (due,) = store.outbox.take(10)
        stamped = decode(due.body).copy(id=due.id, seq=due.seq, enqueued_at_ms=7)

        assert before_ms <= due.fresh_ms <= after_ms
        run(store, stamped, "c1", "READY")  # the relay died before it could mark it
        (again,) = store.outbox.take(10)
        assert (0, 7) == (again.fresh_ms, decode(again.body).enqueued_at_ms)

    def a_relay_died_over(self, store: Store) -> None:
        take(store)
        self.advance(store, 60_000)

    def test_links_are_kept_in_pieces(self, store: Store) -> None:
        """However many; each call says the number of its first."""
        for first in (1, 2_001):
            links = [Follower(message=a_link("k", n)) for n in range(first, first + 2_000)]
            store.chains.keep("k", links, first=first, on_error="stop", call=None)
        assert (0, 4_000) == left(store, "k")

        store.outbox.put([a_link("k", 0)], 0)
        (copy,) = publish(store)
        for n in range(1, 12):
            (copy,) = go_on(store, copy)
            assert f"k:{n}" == copy.id
        assert (11, 3_989) == left(store, "k")

    @pytest.mark.parametrize("fail", FAILURES)
    def test_failure_stops_a_chain_that_can_go_on(self, store: Store, fail: Any) -> None:
        """The link is among the dead letters, the rest is kept with it; replayed, it takes the chain along."""
        (second,) = go_on(store, start(store, "k"), result=b"1")
        fail(self, store, second)

        assert ("DEAD", []) == (look(store, second).state, publish(store))
        assert (1, 1) == left(store, "k")
        self.advance(store, 3 * DAY_MS)

        assert store.dead.replay(second.id)
        copy = the_only(publish(store))
        assert ([1, "mine"], "k:1") == (args(copy), copy.id)
        assert "k:2" == the_only(go_on(store, copy, "again")).id

    def test_dead_link_that_is_purged_ends_its_chain(self, store: Store) -> None:
        """The rest is dropped; nothing is left of it."""
        copy = start(store, "k")
        failed(self, store, copy)

        assert store.dead.purge(copy.id)

        assert (None, []) == (store.chains.look("k"), publish(store))
        assert [] == store.chains.newest(10)

    @pytest.mark.parametrize("fail", FAILURES)
    def test_chain_may_go_on_without_a_link(self, store: Store, fail: Any) -> None:
        """The next one has null; the one that failed is a dead letter by itself, and leads to nothing when replayed."""
        copy = start(store, "k", on_error="continue")
        fail(self, store, copy)

        (second,) = publish(store)
        assert ("k:1", [None, "mine"]) == (second.id, args(second))
        store.dead.replay(copy.id)
        assert [] == go_on(store, the_only(publish(store)), "again", result=b"9")
        assert (1, 1) == left(store, "k")

        (third,) = go_on(store, second, result=b"2")
        fail(self, store, third)
        assert ([], None) == (publish(store), store.chains.look("k"))

    @pytest.mark.parametrize("fail", FAILURES)
    def test_failure_may_call(self, store: Store, fail: Any) -> None:
        """Once, with the id of the link that failed; the rest is dropped."""
        call = Follower(message=a_message(args=OPEN))
        (second,) = go_on(store, start(store, "k", on_error="call", call=call))
        fail(self, store, second)

        (called,) = publish(store)
        assert (call.message.id, ["k:1", "mine"]) == (called.id, args(called))
        assert None is store.chains.look("k")
        store.dead.replay(second.id)
        failed(self, store, the_only(publish(store)))
        assert [] == publish(store)

    @pytest.mark.parametrize("on_error", ["stop", "continue", "call"])
    @pytest.mark.parametrize("drop", DROPS)
    def test_link_that_is_dropped_ends_its_chain(self, store: Store, drop: Any, on_error: str) -> None:
        """Neither done nor failed: nothing follows, and nothing is called."""
        call = Follower(message=a_message(args=OPEN)) if on_error == "call" else None
        copy = start(store, "k", on_error=on_error, call=call)
        drop(self, store, copy)

        assert ([], None) == (publish(store), store.chains.look("k"))

    def test_links_that_nobody_begins_are_forgotten(self, store: Store) -> None:
        """Their producer died, a day ago. What is put then is refused: it would be a chain without links."""
        keep(store, "k", 3)
        self.advance(store, DAY_MS - 1_000)
        assert (0, 2) == left(store, "k")
        self.advance(store, 1_001)

        assert None is store.chains.look("k")
        assert [] == store.chains.newest(10)
        assert "make the chain anew" in refusal(store, a_message(), a_link("k", 0))
        assert [] == publish(store)

    def test_chain_that_is_begun_is_not_forgotten(self, store: Store) -> None:
        """However long a link takes, or waits."""
        keep(store, "k", 2)
        store.outbox.put([a_link("k", 0)], 3 * DAY_MS)
        self.advance(store, 3 * DAY_MS + 1)

        assert (0, 1) == left(store, "k")
        assert "k:1" == the_only(go_on(store, the_only(publish(store)))).id

    def test_chain_is_enqueued_once(self, store: Store) -> None:
        """What is repeated, after a kill or a lost answer, changes nothing of one that goes on or has ended."""
        (second,) = go_on(store, start(store, "k"), result=b"1")
        keep(store, "k", 3, "continue")
        assert [False] == store.outbox.put([a_link("k", 0)], 0)
        self.advance(store, DAY_MS + 1)

        assert [(1, 1, "stop")] == [(one.at, one.left, one.on_error) for one in store.chains.newest(10)]
        (third,) = go_on(store, second, "c2")
        assert [] == go_on(store, third, "c3")
        keep(store, "k", 3)
        assert [False] == store.outbox.put([a_link("k", 2)], 0)

    def test_chains_are_listed_the_newest_first(self, store: Store) -> None:
        """Those that have not ended, as many as asked for."""
        for n in range(4):
            keep(store, f"k{n}", 2 + n, "continue" if n == 3 else "stop")
            self.advance(store, 1_000)

        assert ["k3", "k2", "k1"] == [chain.id for chain in store.chains.newest(3)]
        assert (0, 4, "continue") == shape(store.chains.newest(1)[0])

    def test_chain_counts_once(self, store: Store) -> None:
        """What counts the first link counts the one that stands, and its end only."""
        store.batches.open("b", when="all_done", then=None, error=None)
        copy = start(store, "k", within=Within(batches=("b",)))
        store.batches.seal("b")
        for n in range(1, 3):
            (copy,) = go_on(store, copy, f"c{n}")
            assert (1, 1, 0, 0) == counted(store)

        assert [] == go_on(store, copy, "last")
        assert (1, 0, 1, 0) == counted(store)

    def test_failed_chain_counts_as_failed_until_it_is_replayed(self, store: Store) -> None:
        """It stands again, and may end well; purged, it stays as it was counted."""
        store.batches.open("b", when="all_done", then=None, error=None)
        copy = start(store, "k", 2, within=Within(batches=("b",)))
        failed(self, store, copy)
        assert (1, 0, 0, 1) == counted(store)
        store.dead.replay(copy.id)
        assert (1, 1, 0, 0) == counted(store)

        (second,) = go_on(store, the_only(publish(store)), "again")
        failed(self, store, second)
        store.dead.purge(second.id)
        assert (1, 0, 0, 1) == counted(store)

    @pytest.mark.parametrize(("on_error", "fails"), [("continue", 0), ("call", 1)])
    def test_chain_that_does_not_stop_counts_by_its_end(self, store: Store, on_error: str, fails: int) -> None:
        """One that goes on by its last link; one that calls has failed."""
        call = Follower(message=a_message()) if on_error == "call" else None
        store.batches.open("b", when="all_done", then=None, error=None)
        copy = start(store, "k", 2, on_error, call=call, within=Within(batches=("b",)))
        failed(self, store, copy)

        assert (1, 1 - fails, 0, fails) == counted(store)
        for following in publish(store):
            run(store, following, "c2")
        assert (1, 0, 1 - fails, fails) == counted(store)

    def test_chain_ends_where_others_go_on(self, store: Store) -> None:
        """A link for workers that are not ours is published with the result; nobody tells how it ends."""
        store.batches.open("b", when="all_done", then=None, error=None)
        away = Follower(message=a_link("k", 1, flow=None), wait_ms=1_000, for_others=True)
        store.chains.keep("k", [away], on_error="stop", call=None)
        store.outbox.put([a_link("k", 0)], 0, Within(batches=("b",)))

        go_on(store, the_only(publish(store)), result=b"1")

        assert (None, (1, 0, 1, 0)) == (store.chains.look("k"), counted(store))
        self.advance(store, 1_001)
        assert [1, "mine"] == args(the_only(publish(store)))
        self.advance(store, LONG_WINDOW_MS)
        assert None is store.messages.look("k:1")

    def test_run_is_one_link(self, store: Store) -> None:
        """The next one is made, and given null, when its last chunk has ended; a chunk that failed can be replayed."""
        (first,) = go_on(store, start(store, "k"))
        opened(store, first)
        second = first.copy(id="k:1:1")
        finish(store, first, first.id, next=Next(did=1, at=Raw(b"1"), message=second))
        (chunk,) = publish(store)
        assert ("k:1:1", (1, 1)) == (chunk.id, left(store, "k"))
        failed(self, store, chunk)
        assert ([], (1, 1)) == (publish(store), left(store, "k"))
        store.dead.replay(chunk.id)
        (chunk,) = publish(store)
        begin(store, chunk, "again")

        finish(store, chunk, "again", next=Next(did=1))

        assert ["k:2", None, "mine"] == [(third := the_only(publish(store))).id, *args(third)]
        run_state = store.runs.look("k:1")
        assert run_state
        assert "done" == run_state.state

    def test_run_that_failed_stays_one_when_its_chain_goes_on(self, store: Store) -> None:
        """It can be replayed to its end, and leads to nothing more."""
        (first,) = go_on(store, start(store, "k", on_error="continue"))
        opened(store, first)
        finish(store, first, first.id, "DEAD", why="ValueError: no")
        assert "k:2" == the_only(publish(store)).id
        store.dead.replay(first.id)
        (copy,) = publish(store)
        begin(store, copy, "again")

        finish(store, copy, "again", next=Next(did=1, at=Raw(b"1"), message=copy.copy(id="k:1:1")))

        assert ["k:1:1"] == [chunk.id for chunk in publish(store)]
        assert (2, 0) == left(store, "k")

    @pytest.mark.parametrize("on_error", ["continue", "call"])
    def test_run_that_failed_stays_one_when_its_chain_ends(self, store: Store, on_error: str) -> None:
        """Replayed it goes on from its chunk, and what counts it knows it again."""
        call = Follower(message=a_message()) if on_error == "call" else None
        store.batches.open("b", when="all_done", then=None, error=None)
        first = start(store, "k", 1, on_error, call=call, within=Within(batches=("b",)))
        opened(store, first)
        finish(store, first, first.id, "DEAD", why="ValueError: no")
        assert (None, (1, 0, 0, 1)) == (store.chains.look("k"), counted(store))
        publish(store)
        store.dead.replay(first.id)
        (copy,) = publish(store)
        begin(store, copy, "again")

        finish(store, copy, "again", next=Next(did=1, at=Raw(b"1"), message=copy.copy(id="k:0:1")))

        (second,) = publish(store)
        assert ("k:0:1", (1, 1, 0, 0)) == (second.id, counted(store))
        begin(store, second, "last")
        finish(store, second, "last", next=Next(did=1))
        assert (1, 0, 1, 0) == counted(store)

    def test_copy_of_a_link_is_recognised(self, store: Store) -> None:
        """As of any message: one that was published twice is begun once."""
        (second,) = go_on(store, start(store, "k"))
        assert "run" == begin(store, second, "c2").verdict
        assert "busy" == begin(store, second, "c3").verdict
        finish(store, second, "c2")

        assert "settled" == begin(store, second, "c4").verdict
        assert ["k:2"] == [copy.id for copy in publish(store)]

    def test_link_may_change_its_arguments(self, store: Store) -> None:
        """A new body is that link's alone."""
        (second,) = go_on(store, start(store, "k"), result=b"1")
        changed = second.copy(args=Raw(b"[2]"))
        run(store, second, "c2", "READY", body=encode(changed))

        (again,) = publish(store)
        assert ("k:1", [2]) == (again.id, args(again))
        assert [3, "mine"] == args(the_only(go_on(store, again, "c3", result=b"3")))


def refusal(store: Store, *messages: Message) -> str:
    """Why they are not put; empty when they are."""
    try:
        store.outbox.put(messages, 0)
    except ConfigError as error:
        return str(error)
    return ""


def opened(store: Store, copy: Message) -> None:
    """A worker has begun it and says that it is a run."""
    begin(store, copy, copy.id)
    bounds = Raw(b"{}")
    store.runs.open(copy, copy.id, bounds=bounds, at=Raw(b"0"), total=2, max_backlog=-1, pause_ms=0)


def shape(chain: ChainState) -> tuple[int, int, str]:
    return chain.at, chain.left, chain.on_error


def counted(store: Store) -> tuple[int, int, int, int]:
    """Of batch b: total, open, done, failed."""
    batch = store.batches.look("b")
    assert batch
    return batch.total, batch.open, batch.done, batch.failed
