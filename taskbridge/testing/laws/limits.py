"""The laws of rate limits: so many starts in any window, by the store's clock, first come, first served."""

from __future__ import annotations

import pytest

from ...message import Message
from ...needs import NeedsLock, NeedsTokens
from ...store import COMING_MS, Begin, Begun, Store
from ..fakes import a_message
from .locks import done
from .steps import Laws, begin, finish, look, publish, recount, state

#: One token a minute: what these laws do takes no time beside it.
MINUTE_MS = 60_000
ONE = NeedsTokens("slow", "slow", MINUTE_MS * 1000, 1)
THREE = NeedsTokens("slow", "slow", MINUTE_MS * 1000, 3)


def ask(store: Store, message: Message, claim: str, *rates: NeedsTokens) -> str:
    """Begin with these limits; returns the verdict."""
    return begin(store, message, claim, rates=rates).verdict


def starts(store: Store, claim: str, *rates: NeedsTokens) -> int:
    """How many fresh messages start before one is refused."""
    count = 0
    while ask(store, a_message(), f"{claim}-{count}", *rates) == "run":
        count += 1
    return count


def let_out(store: Store) -> list[Message]:
    """Let out what may go, and publish it; returns the copies."""
    store.waiting.let_out(100)
    return publish(store)


def refused(store: Store, *rates: NeedsTokens) -> None:
    """Have one message wait at these limits: on a busy machine a token of a quick one comes between two questions."""
    count = 0
    while ask(store, a_message(), f"c{count}", *rates) == "run":
        count += 1


class LimitLaws(Laws):
    """What ``begin``, ``finish`` and ``let_out`` say of limits."""

    def test_burst_starts_at_once_and_no_more(self, store: Store) -> None:
        """A limit that was idle lets its burst start, then refuses; another key has its own."""
        assert 3 == starts(store, "a", THREE)
        assert 1 == starts(store, "b", NeedsTokens("slow", "slow:7", MINUTE_MS * 1000, 1))

    def test_tokens_come_at_the_pace_and_never_above_the_burst(self, store: Store) -> None:
        """One a minute; an hour of idleness is worth no more than the burst."""
        starts(store, "a", THREE)
        for message in let_out(store):
            raise AssertionError(f"{message.id} was let out without a token")

        released = []
        for _ in range(2):
            self.advance(store, MINUTE_MS + 1_000)
            released += let_out(store)
        assert 1 == len(released)
        ask(store, released[0], "late", THREE)
        self.advance(store, 60 * MINUTE_MS)
        assert 3 == starts(store, "b", THREE)

    def test_refused_message_waits_unstarted(self, store: Store) -> None:
        """It costs no start and no attempt, and is counted as throttled."""
        message = a_message()
        starts(store, "a", NeedsTokens("slow", "slow", MINUTE_MS * 1000, 1))

        begun = begin(store, message, "c1", rates=(ONE,))

        record = look(store, message)
        assert ("throttled", "slow") == (begun.verdict, begun.key)
        assert ("THROTTLED", 2, 0, 1, "slow") == (
            *(record.state, record.seq, record.starts, record.attempt, record.waits_at),
        )
        assert {("mail", "THROTTLED"): 2} == store.messages.counts()

    def test_waiting_is_first_come_first_served(self, store: Store) -> None:
        """Who came first is let out first, and a fresh one does not pass, though there is a token."""
        ask(store, a_message(), "c0", ONE)
        waiting = [a_message() for _ in range(3)]
        for n, message in enumerate(waiting):
            ask(store, message, f"w{n}", ONE)
        self.advance(store, 2 * MINUTE_MS)

        assert "throttled" == ask(store, a_message(), "c1", ONE)

        ran = []
        for _ in waiting:
            (copy,) = let_out(store)
            assert "run" == ask(store, copy, f"late-{copy.id}", ONE)
            ran.append(copy.id)
            self.advance(store, MINUTE_MS)
        assert [message.id for message in waiting] == ran

    def test_what_was_let_out_has_its_token(self, store: Store) -> None:
        """Until it begins nobody else takes it, and no second one is let out for it."""
        ask(store, a_message(), "c0", ONE)
        waiter = a_message()
        ask(store, waiter, "c1", ONE)
        self.advance(store, MINUTE_MS + 1_000)

        (copy,) = let_out(store)

        assert "throttled" == ask(store, a_message(), "c2", ONE)
        assert [] == let_out(store)
        assert "run" == ask(store, copy, "c3", ONE)
        assert waiter.id == copy.id

    def test_what_was_let_out_and_needs_none_by_now_gives_its_token_back(self, store: Store) -> None:
        """A newer release has no limit on its task: another's start has the token."""
        ask(store, a_message(), "c0", ONE)
        ask(store, a_message(), "c1", ONE)
        self.advance(store, MINUTE_MS + 1_000)
        (copy,) = let_out(store)

        assert "run" == ask(store, copy, "c2")

        assert "run" == ask(store, a_message(), "c3", ONE)

    def test_what_was_let_out_and_never_comes_gives_its_token_back(self, store: Store) -> None:
        """A message lost with a dead worker must not shrink the limit for ever."""
        ask(store, a_message(), "c0", ONE)
        lost, second = a_message(), a_message()
        ask(store, lost, "c1", ONE)
        ask(store, second, "c2", ONE)
        self.advance(store, MINUTE_MS + 1_000)
        let_out(store)

        self.advance(store, max(COMING_MS, MINUTE_MS) + 1_000)

        assert [second.id] == [copy.id for copy in let_out(store) if copy.id != lost.id]

    @pytest.mark.parametrize("how", ["expired", "locked", "lost"])
    def test_token_that_comes_back_is_used_at_once(self, store: Store, how: str) -> None:
        """What was let out ends, must wait elsewhere, or never comes: the next in line does not wait for another."""
        first, second, lock = a_message(), a_message(), NeedsLock("a")
        begin(store, a_message(), "holder", locks=(lock,))
        ask(store, a_message(), "c0", ONE)
        for n, message in enumerate((first, second)):
            ask(store, message, f"w{n}", ONE)
        self.advance(store, MINUTE_MS + 1_000)
        (copy,) = let_out(store)
        assert [] == let_out(store)

        if how == "expired":
            assert "expired" == ask(store, copy.copy(expires_at_ms=store.now_ms() - 1), "c1", ONE)
        elif how == "locked":
            assert "locked" == begin(store, copy, "c1", locks=(lock,), rates=(ONE,)).verdict
        else:
            self.advance(store, COMING_MS + 10)

        assert [second.id] == [one.id for one in let_out(store) if one.id != copy.id]

    def test_who_was_let_out_early_is_early_everywhere(self, store: Store) -> None:
        """A task with two limits of one pace does not go to and fro between them."""
        one, other = (NeedsTokens(name, name, 20_000, 1) for name in ("one", "other"))
        refused(store, one, other)
        copies: list[Message] = []
        while not copies:
            self.advance(store, 1)
            copies = let_out(store)

        begun = begin(store, copies[0], "late", rates=(one, other))

        assert "run" == begun.verdict
        assert 0 <= begun.wait_ms <= 10

    def test_tokens_are_charged_at_the_start(self, store: Store) -> None:
        """What was let out and begins late counts from then: starts never bunch."""
        ask(store, a_message(), "c0", ONE)
        waiter = a_message()
        ask(store, waiter, "c1", ONE)
        self.advance(store, MINUTE_MS + 1_000)
        (copy,) = let_out(store)
        self.advance(store, 30_000)

        assert "run" == ask(store, copy, "c2", ONE)

        second = a_message()
        ask(store, second, "c3", ONE)
        self.advance(store, 31_000)
        assert [] == let_out(store)
        self.advance(store, 30_000)
        assert [second.id] == [one.id for one in let_out(store)]

    def test_weight_takes_so_many_tokens(self, store: Store) -> None:
        """A start of weight two takes two, and waits until both are there; lighter ones do not pass it."""
        two = NeedsTokens("slow", "slow", MINUTE_MS * 1000, 3, weight=2)
        heavy, light = a_message(), a_message()

        assert "run" == ask(store, a_message(), "c0", two)
        assert "throttled" == ask(store, heavy, "c1", two)
        assert "throttled" == ask(store, light, "c2", THREE)
        self.advance(store, MINUTE_MS + 1_000)

        assert [heavy.id] == [copy.id for copy in let_out(store)]

    def test_begin_with_limits_may_be_repeated(self, store: Store) -> None:
        """The reply was lost: a start is charged once, a waiter waits once."""
        message, waiter = a_message(), a_message()

        assert ["run", "run"] == [ask(store, message, "c1", THREE) for _ in range(2)]
        assert 2 == starts(store, "a", THREE)
        assert ["throttled", "stale"] == [ask(store, waiter, "c2", THREE) for _ in range(2)]
        assert [{"slow": 2}] == [limit.waiting for limit in store.waiting.limits()]

    def test_every_limit_must_agree(self, store: Store) -> None:
        """Of several limits the first that refuses is waited at, and none of the others is charged."""
        wide = NeedsTokens("wide", "wide", MINUTE_MS * 1000, 2)
        ask(store, a_message(), "c0", ONE)

        begun = begin(store, a_message(), "c1", rates=(wide, ONE))

        assert ("throttled", "slow") == (begun.verdict, begun.key)
        assert 2 == starts(store, "a", wide)

    def test_locks_are_tested_before_tokens(self, store: Store) -> None:
        """Who must wait for a lock takes no token; who must wait for a token holds no lock."""
        lock, holder, waiter, passer = NeedsLock("a"), a_message(), a_message(), a_message()
        begin(store, holder, "c0", locks=(lock,))

        assert "locked" == begin(store, a_message(), "c1", locks=(lock,), rates=(ONE,)).verdict
        assert "run" == ask(store, a_message(), "c2", ONE)

        finish(store, holder, "c0")
        (copy,) = publish(store)
        assert "throttled" == begin(store, copy, "c3", locks=(lock,), rates=(ONE,)).verdict
        assert "run" == begin(store, passer, "c4", locks=(lock,)).verdict
        assert "throttled" == begin(store, waiter, "c5", rates=(ONE,)).verdict

    def test_age_is_kept_from_list_to_list(self, store: Store) -> None:
        """Who waited for a lock first is before who came to the limit later."""
        lock, holder, old, young = NeedsLock("a"), a_message(), a_message(), a_message()
        ask(store, a_message(), "c0", ONE)
        begin(store, holder, "c1", locks=(lock,))
        begin(store, old, "c2", locks=(lock,), rates=(ONE,))
        ask(store, young, "c3", ONE)
        finish(store, holder, "c1")
        (copy,) = publish(store)

        assert "throttled" == begin(store, copy, "c4", locks=(lock,), rates=(ONE,)).verdict

        self.advance(store, MINUTE_MS + 1_000)
        assert [old.id] == [one.id for one in let_out(store)]

    def test_short_burst_lets_out_early(self, store: Store) -> None:
        """Without a burst to catch up with, a start is let out up to 10 ms early, and told to wait for its instant."""
        quick = NeedsTokens("quick", "quick", 20_000, 1)
        refused(store, quick)
        copies: list[Message] = []
        while not copies:
            self.advance(store, 1)
            copies = let_out(store)

        begun = begin(store, copies[0], "late", rates=(quick,))

        assert "run" == begun.verdict
        assert 0 <= begun.wait_ms <= 10

    def test_limit_is_changed_for_everyone(self, store: Store) -> None:
        """What is set holds from the next begin on, up or down, and goes before the task's word until given back."""
        store.waiting.set_limit("slow", interval_us=1_000_000, burst=5)
        assert 5 <= starts(store, "a", ONE) <= 50

        store.waiting.set_limit("slow", interval_us=MINUTE_MS * 1000, burst=2)
        self.advance(store, 10 * MINUTE_MS)
        for copy in let_out(store):
            ask(store, copy, f"late-{copy.id}", ONE)
        assert [("slow", MINUTE_MS * 1000, 2, False)] == [
            (one.name, one.interval_us, one.burst, one.paused) for one in store.waiting.limits()
        ]

        store.waiting.set_limit("slow")
        self.advance(store, 10 * MINUTE_MS)
        assert 1 == starts(store, "b", NeedsTokens("slow", "slow:other", MINUTE_MS * 1000, 1))

    def test_waiters_are_looked_at_anew_when_it_is_changed(self, store: Store) -> None:
        """Whoever waits under the old pace goes at the new one, whatever its key."""
        keyed = NeedsTokens("slow", "slow:7", MINUTE_MS * 1000, 1)
        ask(store, a_message(), "c0", keyed)
        waiter = a_message()
        ask(store, waiter, "c1", keyed)
        assert [] == let_out(store)

        store.waiting.set_limit("slow", interval_us=1_000, burst=100_000)

        assert [waiter.id] == [copy.id for copy in let_out(store)]

    def test_paused_limit_lets_nobody_start(self, store: Store) -> None:
        """Not those that were let out either; when resumed it goes on in the old order."""
        ask(store, a_message(), "c0", ONE)
        first, second = a_message(), a_message()
        ask(store, first, "c1", ONE)
        self.advance(store, MINUTE_MS + 1_000)
        (copy,) = let_out(store)
        store.waiting.set_limit("slow", paused=True)
        ask(store, second, "c2", ONE)
        self.advance(store, 10 * MINUTE_MS)

        assert "throttled" == ask(store, copy, "c3", ONE)
        assert [] == let_out(store)
        assert [True] == [one.paused for one in store.waiting.limits()]

        store.waiting.set_limit("slow")
        assert [first.id] == [one.id for one in let_out(store)]

    def test_far_side_may_shut_a_key(self, store: Store) -> None:
        """A task that was told 429 goes back to the head, unspent; nobody starts until then, and then at the pace."""
        busy, waiter = a_message(), a_message()
        assert "run" == ask(store, busy, "c1", THREE)

        assert "ok" == finish(store, busy, "c1", "THROTTLED", group="slow", due_ms=100 * MINUTE_MS)

        assert ("THROTTLED", 2, 1) == (*state(store, busy), look(store, busy).attempt)
        assert "throttled" == ask(store, waiter, "c2", THREE)
        assert "run" == ask(store, a_message(), "c3", NeedsTokens("slow", "slow:other", MINUTE_MS * 1000, 3))
        self.advance(store, 100 * MINUTE_MS - 10_000)
        assert [] == let_out(store)
        self.advance(store, 11_000)
        (copy,) = let_out(store)
        assert busy.id == copy.id
        assert "run" == ask(store, copy, "c4", THREE)
        self.advance(store, 30_000)
        assert [] == let_out(store)
        self.advance(store, 31_000)
        assert [waiter.id] == [one.id for one in let_out(store)]

    def test_shutting_a_key_that_is_not_its_own_is_a_wait(self, store: Store) -> None:
        """A task without that limit is delayed for so long."""
        message = a_message()
        ask(store, message, "c1", THREE)

        finish(store, message, "c1", "THROTTLED", group="another", due_ms=MINUTE_MS)

        assert ("DELAYED", 2) == state(store, message)

    @pytest.mark.parametrize("how", ["lose", "release", "DELAYED", "DEAD"])
    def test_what_started_is_charged_once(self, store: Store, how: str) -> None:
        """However it ends, its token is spent, and it is counted right."""
        message = a_message()
        ask(store, message, "c1", THREE)
        if how in ("lose", "release"):
            getattr(store.claims, how)(message.id, "c1")
        else:
            finish(store, message, "c1", how, due_ms=MINUTE_MS)

        assert recount(store, [message]) == store.messages.counts()
        assert 2 == starts(store, "a", THREE)

    def test_code_takes_tokens_too(self, store: Store) -> None:
        """By the same limiter, in its turn among the messages."""
        ask(store, a_message(), "c0", ONE)
        code, message = a_message(id="hold-1"), a_message()
        assert "throttled" == hold(store, code).verdict
        ask(store, message, "c1", ONE)
        for _ in range(3):
            assert not store.waiting.await_turn("hold-1", 0.01)
            self.advance(store, MINUTE_MS // 3 + 1_000)

        assert [] == let_out(store)

        assert store.waiting.await_turn("hold-1", 5)
        assert "run" == hold(store, code.copy(seq=2)).verdict
        store.claims.finish(done("hold-1", "h1"))
        assert {("mail", "THROTTLED"): 1} == store.messages.counts()


def hold(store: Store, code: Message) -> Begun:
    """Ask for a token for code."""
    request = Begin(message=code, body=b"", claim="h1", max_crashes=0, rates=(ONE,), hold=True)
    return store.claims.begin(request)
