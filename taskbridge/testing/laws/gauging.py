"""The laws of how full a store is: one look tells what all the others tell, and is bounded."""

from __future__ import annotations

from msgspec.structs import replace

from ...needs import NeedsLock, NeedsTokens, Within
from ...store import Store
from ...store.levels import Levels
from ..fakes import a_message
from .batches import THEN
from .chunks import a_run, after, ends, goes_on, start
from .steps import Laws, begin, finish, publish, run, take
from .waited import SLACK_MS, about

MINUTE_MS = 60_000
A = NeedsLock("a")


def tokens(key: str) -> NeedsTokens:
    """One an hour."""
    return NeedsTokens(key.partition(":")[0], key, 60 * MINUTE_MS * 1000, 1)


def read(store: Store, duty: str = "relay", *, limit: int = 100, runs: int = 100) -> Levels:
    """Look."""
    return store.gauging.read(duty, limit=limit, runs=runs)


class GaugingLaws(Laws):
    """``read``."""

    def test_new_store_is_empty(self, store: Store) -> None:
        """Nothing is counted, runs, waits, leads or is late; it tells its time."""
        found = read(store)

        assert abs(found.now_ms - store.now_ms()) < SLACK_MS
        assert found == Levels(
            now_ms=found.now_ms,
            counts={},
            running=[],
            claims=0,
            overdue_ms=0,
            leader="",
            limits=[],
            limit_keys=0,
            runs=[],
            batches=0,
        )

    def test_each_state_is_counted(self, store: Store) -> None:
        """As ``counts`` has it, by queue."""
        store.outbox.put([a_message(), a_message(queue="slow")], 0)
        store.outbox.put([a_message()], MINUTE_MS)
        run(store, a_message(), "c1", "PARKED", due_ms=MINUTE_MS, group="g")
        run(store, a_message(), "c2", "DEAD", why="OSError")
        for n in range(3):
            begin(store, a_message(), f"l{n}", locks=(A,))
            begin(store, a_message(queue="slow"), f"r{n}", rates=(tokens("slow"),))
        store.runs.steer(start(store).id, "pause")

        counts = read(store).counts

        assert store.messages.counts() == counts
        assert (2, 2) == (counts["mail", "LOCKED"], counts["slow", "THROTTLED"])

    def test_what_runs_has_its_queue_and_its_claim(self, store: Store) -> None:
        """Code that holds a lock has a claim, and is no message of a queue."""
        begin(store, a_message(), "c1")
        begin(store, a_message(queue="slow"), "c2")
        begin(store, a_message(), "c3", hold=True, locks=(A,))
        run(store, a_message(), "c4")

        found = read(store)

        assert [("mail", "c1"), ("slow", "c2")] == sorted(found.running)
        assert 3 == found.claims

    def test_at_most_so_many_claims_are_looked_at(self, store: Store) -> None:
        """All are counted."""
        for n in range(5):
            begin(store, a_message(), f"c{n}")

        found = read(store, limit=2)

        assert (2, 5) == (len(found.running), found.claims)

    def test_most_overdue_one_tells_how_late_the_relay_is(self, store: Store) -> None:
        """By how long it is over its due; what is due later is not late, nor what a relay publishes at the moment."""
        store.outbox.put([a_message()], 10 * MINUTE_MS)
        assert 0 == read(store).overdue_ms
        store.outbox.put([a_message()], MINUTE_MS)
        store.outbox.put([a_message()], 2 * MINUTE_MS)
        self.advance(store, 3 * MINUTE_MS)

        assert about(2 * MINUTE_MS, read(store).overdue_ms)

        copies = take(store)
        assert 0 == read(store).overdue_ms
        self.advance(store, MINUTE_MS)
        assert about(MINUTE_MS - 10_000, read(store).overdue_ms)  # it died, and its lease is over
        store.outbox.mark([(copy.id, copy.seq) for copy in copies])
        assert 0 == read(store).overdue_ms

    def test_code_that_waits_is_not_late(self, store: Store) -> None:
        """It was woken, and asks again by itself: the relay has nothing to do with it."""
        holder, code = a_message(), a_message()
        begin(store, holder, "c1", locks=(A,))
        begin(store, code, "c2", hold=True, locks=(A,))
        finish(store, holder, "c1")
        self.advance(store, MINUTE_MS)

        assert 0 == read(store).overdue_ms

    def test_leader_of_a_duty_is_told(self, store: Store) -> None:
        """Until its lease is over, or it resigns; another duty's is another."""
        store.leader.hold("relay", "me", 10_000)
        store.leader.hold("cron", "you", 10_000)

        assert ("me", "you", "") == (read(store).leader, read(store, "cron").leader, read(store, "tea").leader)
        store.leader.resign("cron", "you")
        self.advance(store, 10_001)
        assert ("", "") == (read(store).leader, read(store, "cron").leader)

    def test_limits_are_those_that_are_set_or_waited_at(self, store: Store) -> None:
        """With what was set, and how many wait at which key."""
        store.waiting.set_limit("quiet", interval_us=1_000_000, burst=3, paused=True)
        for n in range(3):
            begin(store, a_message(), f"a{n}", rates=(tokens("slow:1"),))
            begin(store, a_message(), f"b{n}", rates=(tokens("slow:2"),))

        found = read(store)

        assert store.waiting.limits() == found.limits
        assert [("quiet", {}), ("slow", {"slow:1": 2, "slow:2": 2})] == [
            (one.name, one.waiting) for one in found.limits
        ]
        assert 2 == found.limit_keys

    def test_at_most_so_many_keys_of_limits_are_looked_at(self, store: Store) -> None:
        """All are counted."""
        for user in range(5):
            for n in range(2):
                begin(store, a_message(), f"{user}.{n}", rates=(tokens(f"slow:{user}"),))

        found = read(store, limit=2)

        assert ([2], 5) == ([len(one.waiting) for one in found.limits], found.limit_keys)

    def test_runs_are_those_that_go_on(self, store: Store) -> None:
        """The newest first, at most so many, as ``look`` has them; one that has ended is none."""
        for n in range(5):
            chunk = start(store, f"c{n}", message=a_run(id=f"r{n}"))
            if n in (1, 4):
                ends(store, chunk, f"c{n}")
            else:
                goes_on(store, chunk, f"c{n}")
            self.advance(store, 1_000)
        store.runs.steer("r0", "pause")

        assert [("r3", False), ("r2", False), ("r0", True)] == [(one.id, one.paused) for one in read(store).runs]
        assert [store.runs.look("r3"), store.runs.look("r2")] == read(store, runs=2).runs
        assert [["r3"], []] == [[one.id for one in read(store, limit=n).runs] for n in (2, 1)]

    def test_run_that_failed_and_is_replayed_goes_on(self, store: Store) -> None:
        """Its last chunk is dead, and then it is not."""
        chunk = start(store)
        goes_on(store, chunk, "c0")
        (copy,) = publish(store)
        begin(store, copy, "c1")
        finish(store, copy, "c1", "DEAD", why="no")
        assert [] == read(store).runs

        store.dead.replay(after(chunk).id)

        assert [chunk.id] == [one.id for one in read(store).runs]

    def test_batches_are_counted_while_they_have_open_members(self, store: Store) -> None:
        """One that nobody has filled yet has none; nor has one whose members have all ended, until one is replayed."""
        for id in ("b", "c"):
            assert store.batches.open(id, when="all_done", then=THEN, error=None)
        assert 0 == read(store).batches
        one, other = a_message(), a_message()
        store.outbox.put([one, other], 0, Within(batches=("b",)))
        publish(store)
        assert 1 == read(store).batches

        run(store, one, "c1")
        run(store, other, "c2", "DEAD", why="no")
        assert 0 == read(store).batches
        store.dead.replay(other.id)

        assert 1 == read(store).batches

    def test_looking_changes_nothing(self, store: Store) -> None:
        """Who looks twice sees the same, but for the time."""
        start(store)
        store.outbox.put([a_message()], MINUTE_MS)
        before, again = read(store), read(store)

        assert before == replace(again, now_ms=before.now_ms)

    def test_what_runs_longest_is_told_in_full(self, store: Store) -> None:
        """The longest first, and no more than are asked for; code that holds is none of it."""
        messages = [a_message() for _ in range(4)]
        for n, message in enumerate(messages):
            begin(store, message, f"c{n}")
            self.advance(store, 2)
        begin(store, a_message(), "hold", hold=True)

        found = store.gauging.read("relay", limit=100, runs=100, most=3).longest

        assert [message.id for message in messages[:3]] == [record.id for record in found]
        assert ("c0", 1, "mail") == (found[0].claim, found[0].attempt, found[0].queue)
        assert [] == read(store).longest

    def test_locks_that_are_waited_at_are_told(self, store: Store) -> None:
        """Those at which most wait first; also one that is reserved for who has not begun yet."""
        holders = {key: a_message() for key in "abcd"}
        for key, holder in holders.items():
            begin(store, holder, f"h{key}", locks=(NeedsLock(key),))
        for n, key in enumerate("abbccc"):
            begin(store, a_message(), f"w{n}", locks=(NeedsLock(key),))
        finish(store, holders["c"], "hc")

        found = store.gauging.read("relay", limit=100, runs=100, most=2).locks

        assert [("b", 2, (holders["b"].id,)), ("c", 2, ())] == [(one.key, one.waiting, one.holders) for one in found]
        assert 1 == len(found[1].reserved)
        assert ["b", "c", "a"] == [one.key for one in store.gauging.read("relay", limit=100, runs=0, most=9).locks]
        assert [] == read(store).locks
