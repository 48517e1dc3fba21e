"""The laws of locks: one holder, owned by its claim, handed on to whoever waits longest."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ...message import Message
from ...needs import NeedsLock
from ...store import LEASE_MS, PATIENCE_MS, RESERVED_MS, Begin, Begun, Finish, Store
from ..fakes import a_message
from .steps import Laws, begin, finish, look, publish, recount, state

A, B, C = NeedsLock("a"), NeedsLock("b"), NeedsLock("c")


def ask(store: Store, message: Message, claim: str, *locks: NeedsLock) -> str:
    """Begin with these locks; returns the verdict."""
    return begin(store, message, claim, locks=locks).verdict


def holders(store: Store) -> dict[str, tuple[str, ...]]:
    """Who holds which lock."""
    return {lock.key: lock.holders for lock in store.waiting.locks() if lock.holders}


def order(store: Store, waiting: Iterable[Message], *locks: NeedsLock) -> list[str]:
    """Let each that is let on hold the locks and end, one after another; returns their ids in that order."""
    ran, known = [], {message.id: message for message in waiting}
    while copies := publish(store):
        for copy in copies:
            assert "run" == ask(store, copy, f"late-{copy.id}", *locks)
            ran.append(known[copy.id].id)
            finish(store, copy, f"late-{copy.id}")
    return ran


def done(id: str, claim: str) -> Finish:
    """Say that it is done."""
    return Finish(id=id, claim=claim, state="DONE")


def late(store: Store, message: Message) -> Message:
    """The copy that was let on, when it has expired."""
    return message.copy(seq=2, expires_at_ms=store.now_ms() - 1)


class LockLaws(Laws):
    """What ``begin``, ``finish`` and ``let_out`` say of locks."""

    def test_lock_has_one_holder(self, store: Store) -> None:
        """Who asks for a held lock waits in the store, unstarted; another key, or the same one later, is free."""
        first, second, other = a_message(), a_message(), a_message()

        assert "run" == ask(store, first, "c1", A)
        assert "locked" == ask(store, second, "c2", A)
        assert "run" == ask(store, other, "c3", B)

        record = look(store, second)
        assert ("LOCKED", 2, 0, 1, "a") == (record.state, record.seq, record.starts, record.attempt, record.waits_at)
        assert {"a": (first.id,), "b": (other.id,)} == holders(store)
        finish(store, first, "c1")
        finish(store, other, "c3")
        assert "run" == ask(store, a_message(), "c4", B)

    @pytest.mark.parametrize("how", ["DONE", "DEAD", "DELAYED", "READY", "PARKED", "lose", "release", "lapse"])
    def test_lock_is_free_when_its_holder_ends_in_any_way(self, store: Store, how: str) -> None:
        """Done, dead, retried, parked, given back, its worker dead, its lease over: whoever waits is let on at once."""
        first, second = a_message(), a_message()
        ask(store, first, "c1", A)
        ask(store, second, "c2", A)

        if how in ("lose", "release"):
            assert getattr(store.claims, how)(first.id, "c1")
        elif how == "lapse":
            assert [first.id] == self.a_lease_passes(store)
        else:
            finish(store, first, "c1", how, due_ms=60_000 if how in ("DELAYED", "PARKED") else 0)

        assert {("READY", 2), ("OUT", 2)} >= {state(store, second)}
        assert second.id in [copy.id for copy in publish(store)]
        assert "run" == ask(store, second.copy(seq=2), "c3", A)
        assert {"a": (second.id,)} == holders(store)

    def test_lock_is_handed_on_in_the_order_of_waiting(self, store: Store) -> None:
        """First come, first served; a message that comes while others wait does not pass them."""
        holder, late = a_message(), a_message()
        waiting = [a_message() for _ in range(4)]
        ask(store, holder, "c0", A)
        for n, message in enumerate(waiting):
            assert "locked" == ask(store, message, f"w{n}", A)

        finish(store, holder, "c0")
        assert "locked" == ask(store, late, "c9", A)

        assert [message.id for message in [*waiting, late]] == order(store, [*waiting, late], A)

    def test_reserved_lock_is_its_waiters(self, store: Store) -> None:
        """Between release and the waiter's begin nobody else takes it."""
        holder, waiter, passer = a_message(), a_message(), a_message()
        ask(store, holder, "c1", A)
        ask(store, waiter, "c2", A)
        finish(store, holder, "c1")

        (lock,) = store.waiting.locks()
        assert ((), (waiter.id,)) == (lock.holders, lock.reserved)
        assert "locked" == ask(store, passer, "c3", A)
        assert "run" == ask(store, waiter.copy(seq=2), "c4", A)

    def test_reservation_that_nobody_uses_lapses(self, store: Store) -> None:
        """A waiter that was let on and does not come is passed over; when it comes, it has its old place."""
        holder, lost, second, third = (a_message() for _ in range(4))
        ask(store, holder, "c1", A)
        for n, message in enumerate((lost, second, third)):
            ask(store, message, f"w{n}", A)
        finish(store, holder, "c1")

        self.advance(store, RESERVED_MS + 1)
        assert 1 == store.waiting.let_out(10)

        assert "locked" == ask(store, lost.copy(seq=2), "c2", A)
        assert "run" == ask(store, second.copy(seq=2), "c3", A)
        finish(store, second, "c3")
        assert "run" == ask(store, lost.copy(seq=3), "c4", A)
        assert "LOCKED" == look(store, third).state

    def test_semaphore_has_so_many_holders(self, store: Store) -> None:
        """``at_most=2``: two run, the third waits; each end lets one on."""
        three = NeedsLock("pool", at_most=2)
        messages = [a_message() for _ in range(4)]

        verdicts = [ask(store, message, f"c{n}", three) for n, message in enumerate(messages)]
        finish(store, messages[1], "c1")

        assert ["run", "run", "locked", "locked"] == verdicts
        assert ["READY", "LOCKED"] == [look(store, message).state for message in messages[2:]]

    @pytest.mark.parametrize(("conflict", "verdict", "ends"), [("skip", "skipped", "DONE"), ("fail", "held", "RUN")])
    def test_conflict_may_end_or_fail_it(self, store: Store, conflict: str, verdict: str, ends: str) -> None:
        """``skip`` ends the message unrun; ``fail`` claims it without the lock: its worker settles a failure."""
        holder, message = a_message(), a_message()
        ask(store, holder, "c1", A)

        begun = begin(store, message, "c2", locks=(NeedsLock("a", conflict),))

        assert (verdict, "a", ends) == (begun.verdict, begun.key, look(store, message).state)
        assert {"a": (holder.id,)} == holders(store)
        if conflict == "fail":
            assert begun == begin(store, message, "c2", locks=(NeedsLock("a", conflict),))
            assert "ok" == finish(store, message, "c2", "DELAYED", counted=True, due_ms=1)
        assert "ok" == finish(store, holder, "c1")

    def test_refusal_is_of_one_attempt(self, store: Store) -> None:
        """The next one has its lock, though its worker asks twice."""
        holder, message = a_message(), a_message()
        need = NeedsLock("a", "fail")
        ask(store, holder, "c1", A)
        begin(store, message, "c2", locks=(need,))
        finish(store, message, "c2", "READY")
        finish(store, holder, "c1")
        (copy,) = publish(store)

        begun = begin(store, copy, "c3", locks=(need,))

        assert "run" == begun.verdict
        assert begun == begin(store, copy, "c3", locks=(need,))
        assert {"a": (message.id,)} == holders(store)

    def test_several_locks_are_taken_all_or_none(self, store: Store) -> None:
        """One that is held keeps all the others free."""
        holder, both = a_message(), a_message()
        ask(store, holder, "c1", B)

        assert "locked" == ask(store, both, "c2", A, B)

        assert {"b": (holder.id,)} == holders(store)
        assert "a, b" == look(store, both).waits_at
        finish(store, holder, "c1")
        assert "run" == ask(store, both.copy(seq=2), "c3", A, B)
        assert {"a": (both.id,), "b": (both.id,)} == holders(store)

    def test_who_waits_for_several_is_not_passed_at_any(self, store: Store) -> None:
        """A lock that one of them could have is kept for it while it waits for another: it cannot starve."""
        holder, both, late = a_message(), a_message(), a_message()
        ask(store, holder, "c1", B)
        ask(store, both, "c2", A, B)

        assert "locked" == ask(store, late, "c3", A)
        finish(store, holder, "c1")

        assert [both.id] == [copy.id for copy in publish(store)]
        assert "run" == ask(store, both.copy(seq=2), "c4", A, B)
        finish(store, both, "c4")
        assert [late.id] == [copy.id for copy in publish(store)]

    def test_opposite_orders_do_not_deadlock(self, store: Store) -> None:
        """Whatever the order in which each names its locks, and however they cross, all end."""
        pairs = [(A, B), (B, A), (B, C), (C, A), (A, C), (C, B)]
        messages = [a_message() for _ in pairs]
        first = ask(store, messages[0], "c0", *pairs[0])
        needs = {message.id: pair for message, pair in zip(messages, pairs, strict=True)}
        running = {messages[0].id: "c0"}
        for message in messages[1:]:
            ask(store, message, "c0", *needs[message.id])

        while running:
            id, claim = running.popitem()
            store.claims.finish(done(id, claim))
            for copy in publish(store):
                assert "run" == ask(store, copy, f"late-{copy.id}", *needs[copy.id])
                running[copy.id] = f"late-{copy.id}"

        assert "run" == first
        assert {"DONE"} == {look(store, message).state for message in messages}

    def test_begin_with_locks_may_be_repeated(self, store: Store) -> None:
        """The reply was lost: who holds holds once, who waits waits once."""
        holder, waiter = a_message(), a_message()

        assert ask(store, holder, "c1", A) == ask(store, holder, "c1", A) == "run"
        assert ["locked", "stale"] == [ask(store, waiter, "c2", A) for _ in range(2)]

        (lock,) = store.waiting.locks()
        assert ((holder.id,), 1) == (lock.holders, lock.waiting)
        assert recount(store, [holder, waiter]) == store.messages.counts()

    def test_turn_is_over_with_a_start(self, store: Store) -> None:
        """Who has waited, run and is retried waits behind those who have not run."""
        holder, first, second, third = messages = [a_message() for _ in range(4)]
        for n, message in enumerate(messages):
            ask(store, message, f"c{n}", A)
        finish(store, holder, "c0")
        ask(store, first.copy(seq=2), "d1", A)
        finish(store, first, "d1", "READY", counted=True)

        assert "locked" == ask(store, first.copy(seq=3), "d2", A)
        assert "run" == ask(store, second.copy(seq=2), "d3", A)
        finish(store, second, "d3")

        assert ["READY", "LOCKED"] == [look(store, third).state, look(store, first).state]

    @pytest.mark.parametrize("where", ["waiting", "reserved"])
    def test_waiter_that_ends_makes_room(self, store: Store, where: str) -> None:
        """One that expires when it comes, waiting or let on, is passed over."""
        holder, expiring, last = a_message(), a_message(), a_message()
        ask(store, holder, "c1", A)
        ask(store, expiring, "c2", A)
        if where == "reserved":
            ask(store, last, "c3", A)
            finish(store, holder, "c1")
        else:
            finish(store, holder, "c1")
            self.advance(store, RESERVED_MS + 1)
            store.waiting.let_out(10)
            ask(store, last, "c3", A)

        assert "expired" == ask(store, late(store, expiring), "c4", A)

        if where == "reserved":
            assert [last.id] == [copy.id for copy in publish(store) if copy.id != expiring.id]
            assert "run" == ask(store, last.copy(seq=2), "c5", A)
        assert {"a": (last.id,)} == holders(store)

    def test_fencing_token_grows_with_each_holder(self, store: Store) -> None:
        """So a resource can refuse who held the lock before."""
        first, second = a_message(), a_message()
        one = begin(store, first, "c1", locks=(A,))
        ask(store, second, "c2", A)
        self.a_lease_passes(store)

        two = begin(store, second.copy(seq=2), "c3", locks=(A,))

        assert one.fence < two.fence
        assert "refused" == finish(store, first, "c1")
        assert {"a": (second.id,)} == holders(store)

    def test_broken_lock_is_handed_on(self, store: Store) -> None:
        """An operator takes it from its holder; who waits longest has it, and the holder's end changes nothing."""
        holder, waiter = a_message(), a_message()
        ask(store, holder, "c1", A)
        ask(store, waiter, "c2", A)

        assert [1, 0] == [store.waiting.break_lock("a"), store.waiting.break_lock("nobody's")]

        assert "run" == ask(store, waiter.copy(seq=2), "c3", A)
        assert "ok" == finish(store, holder, "c1")
        assert {"a": (waiter.id,)} == holders(store)

    def test_declared_needs_may_change(self, store: Store) -> None:
        """A newer release that names other locks holds those, and lets go of what the older one asked for."""
        holder, waiter, third = a_message(), a_message(), a_message()
        ask(store, holder, "c1", A)
        ask(store, waiter, "c2", A)
        finish(store, holder, "c1")

        assert "run" == ask(store, waiter.copy(seq=2), "c3", B)

        assert {"b": (waiter.id,)} == holders(store)
        self.advance(store, RESERVED_MS + 1)
        store.waiting.let_out(10)
        assert "run" == ask(store, third, "c4", A)

    def test_waiting_is_counted_by_queue(self, store: Store) -> None:
        """``counts`` says how many wait for locks, until they are let on."""
        holder, waiters = a_message(), [a_message() for _ in range(3)]
        ask(store, holder, "c1", A)
        for n, message in enumerate(waiters):
            ask(store, message, f"w{n}", A)

        assert {("mail", "LOCKED"): 3} == store.messages.counts()
        finish(store, holder, "c1")
        assert {("mail", "LOCKED"): 2, ("mail", "READY"): 1} == store.messages.counts()

    def test_semaphore_lets_on_whoever_has_room(self, store: Store) -> None:
        """Also behind one that waited there for another lock, when that one goes on."""
        two, holder, both, third = NeedsLock("pool", at_most=2), a_message(), a_message(), a_message()
        ask(store, holder, "c1", A)
        ask(store, both, "c2", A, two)
        ask(store, third, "c3", two)

        finish(store, holder, "c1")

        assert {both.id, third.id} == {copy.id for copy in publish(store)}

    def test_lock_that_is_not_waited_for_keeps_nobody_off(self, store: Store) -> None:
        """Beside one that is waited for, one with ``skip`` is tried when the message begins, and not before."""
        holder, both, other = a_message(), a_message(), a_message()
        ask(store, holder, "c1", A)
        ask(store, both, "c2", A, NeedsLock("b", "skip"))

        assert "run" == ask(store, other, "c3", NeedsLock("b", "skip"))
        finish(store, holder, "c1")
        assert [both.id] == [copy.id for copy in publish(store)]
        assert "skipped" == ask(store, both.copy(seq=2), "c4", A, NeedsLock("b", "skip"))
        assert "run" == ask(store, a_message(), "c5", A)


class HoldLaws(Laws):
    """Code that is no message holds locks by the same rules: ``Begin(hold=True)``."""

    def test_code_and_messages_share_a_lock(self, store: Store) -> None:
        """Code that holds makes messages wait, and the other way round; each end lets the next on."""
        message, code = a_message(), a_message(id="hold-1")
        assert "run" == hold(store, code, "h1").verdict
        assert "locked" == ask(store, message, "c1", A)

        store.claims.finish(done("hold-1", "h1"))

        assert "run" == ask(store, message.copy(seq=2), "c2", A)
        assert "locked" == hold(store, code, "h2").verdict
        assert not store.waiting.await_turn("hold-1", 0.01)
        finish(store, message, "c2")
        assert store.waiting.await_turn("hold-1", 5)
        assert "run" == hold(store, code.copy(seq=2), "h2").verdict

    def test_code_leaves_no_trace(self, store: Store) -> None:
        """It is no message: not counted, not published, not among the running, gone when it ends."""
        code = a_message(id="hold-1")
        hold(store, code, "h1")

        assert ([], {}) == (store.messages.running(), store.messages.counts())
        store.claims.finish(done("hold-1", "h1"))

        assert store.messages.look("hold-1") is None
        assert [] == store.waiting.locks()

    def test_lock_of_dead_code_lapses(self, store: Store) -> None:
        """Code that renews its claim no more has lost its lock one lease later, and is not run again."""
        code, message = a_message(id="hold-1"), a_message()
        hold(store, code, "h1")
        ask(store, message, "c1", A)

        self.a_lease_passes(store)

        assert [message.id] == [copy.id for copy in publish(store)]
        assert store.messages.look("hold-1") is None

    def test_renewed_code_keeps_its_lock(self, store: Store) -> None:
        """However long it takes, while it renews."""
        code = a_message(id="hold-1")
        hold(store, code, "h1")

        for _ in range(3):
            self.a_lease_passes(store, (code, "h1"))
            self.advance(store, LEASE_MS // 2)

        assert {"a": ("hold-1",)} == holders(store)

    def test_code_that_waits_no_more_is_passed_over(self, store: Store) -> None:
        """It died while it waited: when its turn comes the next one is let on."""
        holder, code, message = a_message(), a_message(id="hold-1"), a_message()
        ask(store, holder, "c1", A)
        hold(store, code, "h1")
        ask(store, message, "c2", A)
        self.advance(store, 31_000)
        store.claims.renew([(holder.id, "c1")])

        finish(store, holder, "c1")

        assert [message.id] == [copy.id for copy in publish(store)]

    def test_many_that_wait_no_more_are_passed_over(self, store: Store) -> None:
        """However many have died in line, whoever waits behind them is let on."""
        holder, message = a_message(), a_message()
        ask(store, holder, "c1", A)
        for n in range(150):
            hold(store, a_message(id=f"hold-{n}"), f"h{n}")
        ask(store, message, "c2", A)
        self.advance(store, PATIENCE_MS + 1)
        store.claims.renew([(holder.id, "c1")])

        finish(store, holder, "c1")

        assert [message.id] == [copy.id for copy in publish(store)]

    def test_lock_reserved_for_dead_code_lapses(self, store: Store) -> None:
        """However late somebody looks: nothing of it is left, and the next in line goes on."""
        holder, code, message = a_message(), a_message(id="hold-1"), a_message()
        ask(store, holder, "c1", A)
        hold(store, code, "h1")
        ask(store, message, "c2", A)
        finish(store, holder, "c1")

        self.advance(store, 10 * PATIENCE_MS)
        store.waiting.let_out(10)

        assert [message.id] == [copy.id for copy in publish(store)]
        assert store.messages.look("hold-1") is None

    def test_code_asks_again_in_its_place(self, store: Store) -> None:
        """Who asks while he waits goes on waiting before those who came later."""
        holder, code, message = a_message(), a_message(id="hold-1"), a_message()
        ask(store, holder, "c1", A)
        hold(store, code, "h1")
        ask(store, message, "c2", A)

        assert "locked" == hold(store, code.copy(seq=2), "h1").verdict
        finish(store, holder, "c1")

        assert [] == publish(store)
        assert "run" == hold(store, code.copy(seq=3), "h1").verdict

    def test_code_that_gives_up_leaves_no_trace(self, store: Store) -> None:
        """It asks once more, expired: its place is free, its record gone."""
        holder, code, message = a_message(), a_message(id="hold-1"), a_message()
        ask(store, holder, "c1", A)
        hold(store, code, "h1")
        ask(store, message, "c2", A)

        assert "expired" == hold(store, code.copy(seq=2, expires_at_ms=1), "h1").verdict
        finish(store, holder, "c1")

        assert store.messages.look("hold-1") is None
        assert [message.id] == [copy.id for copy in publish(store)]


def hold(store: Store, code: Message, claim: str) -> Begun:
    """Ask for the lock ``a`` for code."""
    request = Begin(message=code, body=b"", claim=claim, max_crashes=0, locks=(A,), hold=True)
    return store.claims.begin(request)
