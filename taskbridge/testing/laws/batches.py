"""The laws of batches: each member counts once, however it ends, and each callback is made once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from ...errors import ConfigError
from ...message import NULL, Flow, Message
from ...needs import NeedsLock, Same, Within
from ...store import LAST_RESORT_MS, WINDOW_MS, Store
from ...store.flow import BatchState, Follower, Next
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, put_once, run, take

DAY_MS = 24 * 3_600_000

THEN = Follower(message=a_message(id="b:then", args=Raw(b'["\\u0000result", 7]'), queue="after"))
ERROR = Follower(message=a_message(id="b:error", queue="after"))


def opened(store: Store, when: str = "all_succeeded", *, builder: str = "") -> None:
    """Begin the batch b with both callbacks."""
    assert store.batches.open("b", when=when, then=THEN, error=ERROR, builder=builder)


def put(store: Store, *messages: Message, wait_ms: int = 0) -> list[bool]:
    """Put members of b."""
    return store.outbox.put(messages, wait_ms, Within(batches=("b",)))


def filled(store: Store, count: int, when: str = "all_succeeded") -> list[Message]:
    """Begin b, put so many members and close it; returns the copies that the engine has."""
    opened(store, when)
    members = [a_message() for _ in range(count)]
    put(store, *members)
    store.batches.seal("b")
    copies = {copy.id: copy for copy in publish(store)}
    return [copies[member.id] for member in members]


def batch(store: Store) -> BatchState:
    """Return how far b is."""
    found = store.batches.look("b")
    assert found is not None
    return found


def counts(store: Store) -> tuple[int, int, int, int, int]:
    """Return total, open, done, failed and dropped of b."""
    found = batch(store)
    assert found.total == found.open + found.done + found.failed + found.dropped
    return found.total, found.open, found.done, found.failed, found.dropped


def called(store: Store) -> list[str]:
    """Publish what is due; returns which callbacks are among it."""
    return sorted(copy.id for copy in publish(store) if copy.id in ("b:then", "b:error"))


class BatchLaws(Laws):
    """``open``, ``seal``, ``look`` and ``newest``; ``put`` and ``put_once`` within; and all ways to end."""

    def test_batch_calls_back_when_its_last_member_ends(self, store: Store) -> None:
        """Not before, and with the body that it was given, however that looks."""
        first, last = filled(store, 2)

        run(store, first)
        before = called(store)
        run(store, last)

        (copy,) = publish(store)
        assert ([], (2, 0, 2, 0, 0)) == (before, counts(store))
        assert THEN.message == copy
        assert batch(store).ended_ms >= batch(store).made_ms > 0

    def test_callback_is_of_the_store_s_own_making(self, store: Store) -> None:
        """It is fresh until it is published; it waits as long as it is to, and runs like any other."""
        slow = Follower(message=THEN.message, wait_ms=60_000)
        store.batches.open("b", when="all_done", then=slow, error=None)
        store.batches.seal("b")

        delayed = look(store, THEN.message)
        early = take(store)
        self.advance(store, 60_001)
        (due,) = store.outbox.take(10)
        store.outbox.mark([(due.id, due.seq)])

        assert ("DELAYED", "after", [], True) == (delayed.state, delayed.queue, early, due.fresh_ms == delayed.at_ms)
        run(store, THEN.message, "c1", "READY", counted=True)
        (again,) = store.outbox.take(10)
        assert ("b:then", 2, 0) == (again.id, again.seq, again.fresh_ms)

    def test_empty_batch_calls_back_when_it_is_sealed(self, store: Store) -> None:
        """Nothing is open, none has failed."""
        opened(store)

        assert store.batches.seal("b")

        assert ["b:then"] == called(store)
        assert (0, 0, 0, 0, 0) == counts(store)

    def test_c15_batch_that_is_filled_calls_nobody_back(self, store: Store) -> None:
        """Members end faster than others are added; only who fills it can say that it is whole."""
        first, last = a_message(), a_message()
        opened(store)
        put(store, first)
        run(store, publish(store)[0])
        between = called(store)
        put(store, last)
        run(store, publish(store)[0])
        still = called(store)

        store.batches.seal("b")

        assert ([], [], ["b:then"]) == (between, still, called(store))

    def test_c15_member_is_counted_with_its_message(self, store: Store) -> None:
        """In one step: who dies after it leaves a message that runs, and one member."""
        member = a_message()
        opened(store)

        put(store, member)

        assert ("READY", (1, 1, 0, 0, 0)) == (look(store, member).state, counts(store))

    def test_c15_repeated_put_counts_once(self, store: Store) -> None:
        """The reply was lost: the message is there, waits, runs or has ended, and is one member."""
        member = a_message()
        opened(store)
        answers = [put(store, member, member)]
        (copy,) = publish(store)
        answers.append(put(store, member))
        begin(store, copy)
        answers.append(put(store, member))
        finish(store, copy)
        answers.append(put(store, member))

        assert [[True, False], [False], [False], [False]] == answers
        assert (1, 0, 1, 0, 0) == counts(store)
        assert [] == take(store)

    def test_c15_repeated_end_counts_once(self, store: Store) -> None:
        """A finish that is told twice, a late copy, a claim that was lost: none of them ends a member again."""
        first, _ = filled(store, 2)
        begin(store, first, "c1")
        store.claims.lose(first.id, "c1")
        again = publish(store)[0]
        begin(store, again, "c2")

        answers = [finish(store, again, claim) for claim in ("c1", "c2", "c2", "c1")]
        late = begin(store, first, "c3").verdict

        assert (["refused", "ok", "mine", "refused"], "settled") == (answers, late)
        assert (2, 1, 1, 0, 0) == counts(store)

    def test_c15_replayed_member_is_open_again(self, store: Store) -> None:
        """It had failed; while it runs again the batch is not complete, and when it is done none has failed."""
        first, last = filled(store, 2)
        run(store, first, "c1", "DEAD")
        store.dead.replay(first.id)
        replayed = publish(store)[0]
        run(store, last)
        between = (counts(store), called(store))

        run(store, replayed, "c2")

        assert ((2, 1, 1, 0, 0), []) == between
        assert ((2, 0, 2, 0, 0), ["b:then"]) == (counts(store), called(store))

    @pytest.mark.parametrize("when", ["all_done", "all_succeeded"])
    def test_each_callback_is_made_once(self, store: Store, when: str) -> None:
        """A batch may be complete again and again, for dead members are replayed: nobody is called twice."""
        done, failing = filled(store, 2, when)
        run(store, done)
        copy = failing
        made = []
        for n in range(4):
            run(store, copy, f"c{n}", "DEAD" if n < 3 else "DONE")
            store.batches.seal("b")
            made.append(called(store))
            for callback in (THEN.message, ERROR.message):
                if callback.id in made[-1]:
                    run(store, callback)
            self.advance(store, WINDOW_MS + 1)  # nobody would know a second one by its id
            if n < 3:
                assert batch(store).ended_ms
                store.dead.replay(failing.id)
                assert not batch(store).ended_ms
                (copy,) = publish(store)

        first, last = (["b:error"], ["b:then"]) if when == "all_succeeded" else (["b:error", "b:then"], [])
        assert [first, [], [], last] == made
        assert (2, 0, 2, 0, 0) == counts(store)

    @pytest.mark.parametrize("when", ["all_done", "all_succeeded"])
    @pytest.mark.parametrize(
        ("how", "counted"),
        [
            *(("done", "done"), ("dropped", "dropped"), ("expired", "dropped"), ("skipped", "dropped")),
            *(("dead", "failed"), ("crashed", "failed"), ("crashed at begin", "failed"), ("parked too long", "failed")),
        ],
    )
    def test_every_end_counts(self, store: Store, how: str, counted: str, when: str) -> None:
        """Nothing that ends leaves its batch waiting; only failures keep back ``then``, of ``all_succeeded``."""
        (member,) = filled(store, 1, when)

        self.end(store, member, how)

        assert (1, 0, *(int(counted == one) for one in ("done", "failed", "dropped"))) == counts(store)
        then = ["b:then"] * (when == "all_done" or counted != "failed")
        assert ["b:error"] * (counted == "failed") + then == called(store)

    def end(self, store: Store, member: Message, how: str) -> None:
        """Let a member that was published come to this end."""
        if how == "expired":
            begin(store, member.copy(expires_at_ms=store.now_ms() - 1))
        elif how == "skipped":
            begin(store, a_message(), "c0", locks=(NeedsLock("k"),))
            assert "skipped" == begin(store, member, "c1", locks=(NeedsLock("k", "skip"),)).verdict
        elif how == "crashed":
            begin(store, member, "c1", max_crashes=0)
            store.claims.lose(member.id, "c1")
        elif how == "crashed at begin":
            begin(store, member, "c1", max_crashes=1)
            store.claims.lose(member.id, "c1")
            assert "crashed" == begin(store, publish(store)[0], "c2", max_crashes=0).verdict
        elif how == "parked too long":
            run(store, member, "c1", "PARKED", ran=False, due_ms=0, group="g")
            self.advance(store, 1)
            assert [member.id] == store.parked.overdue(10)
        else:
            more = {"why": "dropped: no use"} if how == "dropped" else {}
            run(store, member, "c1", "DEAD" if how == "dead" else "DONE", **more)

    def test_purged_member_stays_failed(self, store: Store) -> None:
        """It was counted when it died; to purge it is no success."""
        (member,) = filled(store, 1)
        run(store, member, "c1", "DEAD")
        called(store)

        store.dead.purge(member.id)

        assert ((1, 0, 0, 1, 0), []) == (counts(store), called(store))
        assert () == look(store, member).batches

    def test_member_on_its_way_is_open(self, store: Store) -> None:
        """Delayed, retried, rescheduled, parked, given back, locked: it has not ended."""
        (copy,) = filled(store, 1)
        parked = {"due_ms": 60_000, "group": "g", "ran": False}
        ways: list[tuple[str, dict[str, Any]]] = [("READY", {"counted": True}), ("DELAYED", {}), ("PARKED", parked)]
        for n, (state, more) in enumerate(ways):
            run(store, copy, f"c{n}", state, **more)
            assert (1, 1, 0, 0, 0) == counts(store)
            if state == "PARKED":
                store.parked.release("g", 10)
            (copy,) = publish(store)
        begin(store, copy, "c9")
        store.claims.release(copy.id, "c9")
        (copy,) = publish(store)
        begin(store, a_message(), "c10", locks=(NeedsLock("k"),))
        begin(store, copy, "c11", locks=(NeedsLock("k"),))

        assert ("LOCKED", (1, 1, 0, 0, 0)) == (look(store, copy).state, counts(store))
        assert ("b",) == look(store, copy).batches

    def test_what_stands_already_is_no_member(self, store: Store) -> None:
        """Another call made it, in no batch or in another one: it counts there."""
        outside, member, known = a_message(), a_message(), a_message()
        same, other = (Same("k", "until_done", DAY_MS),), (Same("other", "until_done", DAY_MS),)
        within = Within(batches=("b",))
        put_once(store, [outside], [same], 0)
        store.outbox.put([known], 0)
        opened(store)

        ids = put_once(store, [a_message(), member, a_message()], [same, other, other], 0, within)
        answers = put(store, known)

        assert [outside.id, member.id, member.id] == ids
        assert [False] == answers
        assert (1, 1, 0, 0, 0) == counts(store)
        run(store, next(copy for copy in publish(store) if copy.id == member.id))
        assert (1, 0, 1, 0, 0) == counts(store)

    def test_message_may_be_of_several_batches(self, store: Store) -> None:
        """It counts in each, and each calls back for itself."""
        member = a_message()
        opened(store)
        store.batches.open("c", when="all_done", then=None, error=None)
        store.outbox.put([member], 0, Within(batches=("b", "c")))
        for id in ("b", "c"):
            store.batches.seal(id)

        run(store, publish(store)[0])

        assert [(1, 0, 1)] * 2 == [(one.total, one.open, one.done) for one in store.batches.newest(9)]
        assert ["b:then"] == called(store)

    @pytest.mark.parametrize("how", ["sealed", "never opened"])
    def test_closed_batch_takes_no_more(self, store: Store, how: str) -> None:
        """Not one of them is put, or its batch would never hear of it."""
        member = a_message()
        if how == "sealed":
            opened(store)
            store.batches.seal("b")

        with pytest.raises(ConfigError, match="closed, or was never opened"):
            put(store, member)
        with pytest.raises(ConfigError, match="closed, or was never opened"):
            put_once(store, [member], [(Same("k", "until_done", DAY_MS),)], 0, Within(batches=("b",)))

        assert store.messages.look(member.id) is None
        assert how != "sealed" or counts(store) == (0, 0, 0, 0, 0)

    def test_batch_is_opened_once(self, store: Store) -> None:
        """Opened again it is what it was: its members, callbacks and condition, and whether it is sealed."""
        opened(store, "all_done", builder="m")
        put(store, a_message())
        store.batches.seal("b")
        before = batch(store)

        assert not store.batches.open("b", when="all_succeeded", then=None, error=None)

        assert before == batch(store)
        assert ("m", True) == (before.builder, before.sealed)
        run(store, publish(store)[0], "c1", "DEAD")
        assert ["b:error", "b:then"] == called(store)

    def test_seal_may_be_repeated(self, store: Store) -> None:
        """It says True for a batch that is there, and calls back once."""
        opened(store)

        assert [True, True, False] == [store.batches.seal(id) for id in ("b", "b", "nobody")]

        assert ["b:then"] == called(store)
        assert store.batches.look("nobody") is None

    @pytest.mark.parametrize("built", [True, False])
    def test_builder_that_is_repeated_adds_none_twice(self, store: Store, built: bool) -> None:
        """However long ago its members ended: what a task has put in is remembered.

        Others put under ids of their own, and nothing is kept for them.
        """
        members, more = [a_message(), a_message()], a_message()
        opened(store, builder="m" if built else "")
        put(store, members[0])
        put_once(store, [members[1]], [(Same("k", "window", 1_000),)], 0, Within(batches=("b",)))
        for copy in publish(store):
            run(store, copy)
        self.advance(store, WINDOW_MS + 1)

        answers = put(store, members[0], more)
        put_once(store, [members[1]], [(Same("k", "window", 1_000),)], 0, Within(batches=("b",)))

        assert [not built, True] == answers
        assert (3 if built else 5) == counts(store)[0]
        assert (1 if built else 3) == len(publish(store))

    def test_sealed_batch_knows_what_it_has(self, store: Store) -> None:
        """The task that filled it was killed when it had sealed it: what it repeats is there; anything else is refused.

        So is all that comes with something else, and what another way of putting brings.
        """
        member, unique, other = a_message(), a_message(), a_message()
        same, within = (Same("k", "until_done", DAY_MS),), Within(batches=("b",))
        opened(store, builder="m")
        put(store, member)
        put_once(store, [unique], [same], 0, within)
        store.batches.seal("b")
        for copy in publish(store):
            run(store, copy)
        self.advance(store, WINDOW_MS + 1)

        answers = [put(store, member), put_once(store, [unique], [same], 0, within)]
        with pytest.raises(ConfigError, match="closed"):
            put(store, member, other)
        with pytest.raises(ConfigError, match="closed"):
            put_once(store, [unique, other], [same, same], 0, within)

        assert [[False], [unique.id]] == answers
        assert (2, 0, 2, 0, 0) == counts(store)
        assert store.messages.look(other.id) is None

    def test_chain_is_one_member(self, store: Store) -> None:
        """Membership goes from link to link; the last one's end counts, and so does that of a link that fails."""
        opened(store)
        for chain in ("x", "y"):
            links = [Follower(message=a_message(id=f"{chain}:{n}", flow=Flow(chain=chain, link=n))) for n in (1, 2)]
            store.chains.keep(chain, links, on_error="stop", call=None)
        put(store, *(a_message(id=f"{chain}:0", flow=Flow(chain=chain)) for chain in ("x", "y")))
        store.batches.seal("b")
        for _ in range(2):
            for copy in publish(store):
                run(store, copy, "c1", "DEAD" if copy.id == "y:1" else "DONE")

        assert ((2, 1, 0, 1, 0), "x:2") == (counts(store), publish(store)[0].id)
        store.dead.replay("y:1")
        run(store, publish(store)[0], "c2")
        assert (2, 2, 0, 0, 0) == counts(store)
        run(store, a_message(id="x:2", flow=Flow(chain="x", link=2)))
        run(store, publish(store)[0], "c3")
        assert ((2, 0, 2, 0, 0), ["b:then"]) == (counts(store), called(store))

    def test_run_is_one_member(self, store: Store) -> None:
        """Membership goes from chunk to chunk; the last one's end counts."""
        first = a_message()
        second = a_message(id=f"{first.id}:1", flow=Flow(run=first.id, chunk=1))
        opened(store)
        put(store, first)
        store.batches.seal("b")
        begin(store, publish(store)[0])
        said: dict[str, Any] = {"bounds": NULL, "at": NULL, "total": -1, "max_backlog": -1, "pause_ms": 0}
        store.runs.open(first, "c1", **said)

        finish(store, first, next=Next(did=1, message=second))
        between = counts(store)
        (copy,) = publish(store)
        run(store, copy, "c2", next=Next(did=1))

        assert (second.id, (1, 1, 0, 0, 0)) == (copy.id, between)
        assert ((1, 0, 1, 0, 0), ["b:then"]) == (counts(store), called(store))

    @pytest.mark.parametrize("on_error", ["continue", "call"])
    def test_chain_that_went_on_without_a_link(self, store: Store, on_error: str) -> None:
        """What counts is how the chain ended: the last letter, replayed, is open; those left behind count no more."""
        call = Follower(message=a_message(id="x:failed"))
        opened(store)
        links = [Follower(message=a_message(id=f"x:{n}", flow=Flow(chain="x", link=n))) for n in (1, 2)]
        store.chains.keep("x", links, on_error=on_error, call=call)
        put(store, a_message(id="x:0", flow=Flow(chain="x")))
        store.batches.seal("b")
        last = "x:0" if on_error == "call" else "x:2"
        for n in range(1 if on_error == "call" else 3):
            (copy,) = publish(store)
            run(store, copy, f"c{n}", "DEAD")

        assert ((1, 0, 0, 1, 0), ("b",)) == (counts(store), look(store, a_message(id=last)).batches)
        publish(store)
        for letter in store.dead.list(9):
            store.dead.replay(letter.id)
        assert (1, 1, 0, 0, 0) == counts(store)
        for copy in publish(store):
            run(store, copy, "c9")
        assert (1, 0, 1, 0, 0) == counts(store)

    @pytest.mark.parametrize(("how", "days"), [("done", 1), ("failed", 14), ("unsealed", 14)])
    def test_batch_that_is_over_is_forgotten(self, store: Store, how: str, days: int) -> None:
        """A day after it was complete; two weeks when some failed or when it was left unsealed."""
        opened(store, builder="m")
        put(store, a_message())
        self.advance(store, 15 * DAY_MS)
        if how != "unsealed":
            store.batches.seal("b")
        run(store, publish(store)[0], "c1", "DEAD" if how == "failed" else "DONE")

        self.advance(store, days * DAY_MS - 60_000)
        assert ["b"] == [one.id for one in store.batches.newest(9)]
        self.advance(store, 60_001)
        assert store.batches.look("b") is None
        assert [] == store.batches.newest(9)
        with pytest.raises(ConfigError):
            put(store, a_message())
        opened(store)
        assert (0, 0, 0, 0, 0) == counts(store)

    def test_batch_with_open_members_is_never_forgotten(self, store: Store) -> None:
        """A member may be delayed for longer than anything else lives, or come back from the dead."""
        opened(store)
        slow, failing = a_message(), a_message()
        put(store, slow, wait_ms=30 * DAY_MS)
        put(store, failing)
        store.batches.seal("b")
        run(store, publish(store)[0], "c1", "DEAD")
        self.advance(store, 31 * DAY_MS)
        run(store, publish(store)[0])
        between = called(store)

        store.dead.replay(failing.id)
        self.advance(store, LAST_RESORT_MS + 1)
        run(store, publish(store)[0], "c2")

        assert (["b:error"], (2, 0, 2, 0, 0), ["b:then"]) == (between, counts(store), called(store))

    def test_newest_comes_first(self, store: Store) -> None:
        """So many at most; those that are forgotten take no place among them."""
        ids = [f"b{n}" for n in range(120)]
        for id in ids[:2]:
            store.batches.open(id, when="all_done", then=None, error=None)
        self.advance(store, 1_000)
        for id in ids[2:]:
            store.batches.open(id, when="all_done", then=None, error=None)
            store.batches.seal(id)
        self.advance(store, DAY_MS + 1)
        before = [one.id for one in store.batches.newest(1)]
        self.advance(store, 1_000)
        store.batches.open("last", when="all_done", then=None, error=None)

        assert ["b1"] == before
        assert [["last", "b1"], ["last", "b1", "b0"]] == [[one.id for one in store.batches.newest(n)] for n in (2, 9)]
        assert [] == store.batches.newest(0)

    @pytest.mark.parametrize("seed", range(4))
    def test_counts_are_those_of_its_members(self, store: Store, seed: int) -> None:
        """Whatever becomes of them in whatever order, and however often it is said: a recount finds the same."""
        chance = random.Random(seed)
        members: list[Message] = []
        copies: list[Message] = []
        dropped: set[str] = set()
        opened(store, builder="m" if seed % 2 else "")
        for n in range(150):
            step = chance.choice(["put", "again", "publish", "begin", "begin", "end", "end", "end", "lose", "replay"])
            if step == "put":
                members += (new := [a_message() for _ in range(chance.randint(1, 4))])
                put(store, *new)
            elif step == "again" and members:
                put(store, *chance.sample(members, min(3, len(members))))
            elif step == "publish":
                copies += publish(store)
            elif step == "replay" and members:
                store.dead.replay(chance.choice(members).id)
            elif copies and step in ("begin", "end", "lose"):
                self.step(store, step, chance, copies, dropped, f"c{n}")
            assert recounted(store, members, dropped) == counts(store)
        store.batches.seal("b")

        assert recounted(store, members, dropped) == counts(store)
        assert (batch(store).ended_ms > 0) == (batch(store).open == 0)

    def step(
        self, store: Store, step: str, chance: random.Random, copies: Sequence[Message], dropped: set[str], claim: str
    ) -> None:
        """Do one thing with a copy, which may be an old one."""
        copy = chance.choice(copies)
        claims = [record.claim for record in store.messages.running() if record.id == copy.id]
        if step == "begin":
            begin(store, copy, claim, max_crashes=2)
        elif step == "lose" and claims:
            store.claims.lose(copy.id, claims[0])
        elif claims:
            how = chance.choice(["DONE", "DROP", "DEAD", "READY"])
            if how == "DROP":
                dropped.add(copy.id)
            why = "dropped: no use" if how == "DROP" else ""
            for _ in range(chance.randint(1, 2)):
                finish(store, copy, claims[0], "DONE" if how == "DROP" else how, why=why)


def recounted(store: Store, members: Sequence[Message], dropped: set[str]) -> tuple[int, int, int, int, int]:
    """Count these members by looking at each."""
    states = Counter(look(store, member).state for member in members)
    done, failed, total = states["DONE"] - len(dropped), states["DEAD"], len(members)
    return total, total - done - failed - len(dropped), done, failed, len(dropped)
