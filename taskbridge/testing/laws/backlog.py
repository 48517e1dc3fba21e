"""The laws of what a run has enqueued: counted until it ends, it holds back the next chunk; repeats are known."""

from __future__ import annotations

from functools import partial

import pytest

from ...errors import ClaimLost
from ...message import Message
from ...needs import NeedsLock, NeedsTokens, Same, Within
from ...store import LONG_WINDOW_MS, WINDOW_MS, Standing, Store
from ..fakes import a_message
from .chunks import DAY_MS, after, ends, enqueue, follow, goes_on, seen, start, within
from .steps import Laws, begin, finish, look, publish, put_once, run

LOCK, MINUTE = NeedsLock("a"), NeedsTokens("slow", "slow", 60_000_000, 1)


def mails(number: int) -> list[Message]:
    """Messages that a chunk enqueues."""
    return [a_message() for _ in range(number)]


def published(store: Store, message: Message) -> Message:
    """The copy of it that a relay publishes now."""
    return next(copy for copy in publish(store) if copy.id == message.id)


def waits_for_its_backlog(store: Store, first: Message) -> bool:
    """Whether the second chunk of a run is held."""
    return "HELD" == look(store, after(first)).state


class BacklogLaws(Laws):
    """``put`` and ``put_once`` from inside a chunk, and what comes of them."""

    def test_next_chunk_waits_while_too_much_is_open(self, store: Store) -> None:
        """Exactly: at the bound it goes, above it waits, in the store alone, and the end of one lets it go."""
        first, sent = start(store, max_backlog=2), mails(3)
        enqueue(store, first, "c0", *sent)
        goes_on(store, first, "c0")

        assert (3, 3) == (seen(store, first).open, seen(store, first).enqueued)
        assert waits_for_its_backlog(store, first)
        assert {("walks", "HELD"): 1, ("mail", "READY"): 3} == store.messages.counts()
        copies = publish(store)
        assert {message.id for message in sent} == {copy.id for copy in copies}
        run(store, copies[0], "m0")
        assert "READY" == look(store, after(first)).state
        assert (2, 3) == (seen(store, first).open, seen(store, first).enqueued)
        assert {("walks", "READY"): 1} == store.messages.counts()
        assert after(first).id == follow(store, "c1").id

    def test_backlog_of_none_waits_for_all(self, store: Store) -> None:
        """``max_backlog=0``; without a bound nothing is waited for."""
        strict, free = start(store, "c0", max_backlog=0), start(store, "c1")
        for chunk, claim in ((strict, "c0"), (free, "c1")):
            enqueue(store, chunk, claim, a_message())
            goes_on(store, chunk, claim)

        assert ["HELD", "READY"] == [look(store, after(chunk)).state for chunk in (strict, free)]

    @pytest.mark.parametrize(
        "how", ["READY", "DELAYED", "delayed", "RUN", "PARKED", "retry", "LOCKED", "THROTTLED", "lost", "published"]
    )
    def test_what_has_not_ended_is_open(self, store: Store, how: str) -> None:
        """Delayed, retried, parked, waiting for a lock or a limit, running, in an engine: all count."""
        first, mail = start(store, max_backlog=0), a_message()
        if how in ("LOCKED", "THROTTLED"):
            begin(store, a_message(), "h", locks=(LOCK,), rates=(MINUTE,))
        enqueue(store, first, "c0", mail, wait_ms=60_000 if how == "delayed" else 0)
        goes_on(store, first, "c0")
        if how in ("PARKED", "DELAYED", "retry"):
            run(store, published(store, mail), "m", "READY" if how == "retry" else how, due_ms=60_000, group="g")
        elif how == "RUN":
            begin(store, published(store, mail), "m")
        elif how == "lost":
            begin(store, published(store, mail), "m")
            store.claims.lose(mail.id, "m")
        elif how == "LOCKED":
            begin(store, published(store, mail), "m", locks=(LOCK,))
        elif how == "THROTTLED":
            begin(store, published(store, mail), "m", rates=(MINUTE,))
        elif how == "published":
            publish(store)

        assert (1, True) == (seen(store, first).open, waits_for_its_backlog(store, first))

    @pytest.mark.parametrize("once", [False, True])
    def test_what_only_others_run_is_never_open(self, store: Store, once: bool) -> None:
        """Nobody tells how it ends, so a run does not wait for it; a repeat is known, and its record has an end."""
        first, mail = start(store, max_backlog=0), a_message()
        put = partial(store.outbox.put_once, [mail], [()]) if once else partial(store.outbox.put, [mail])
        for _ in range(2):
            put(0, within(first, "c0").for_others())
        goes_on(store, first, "c0")

        assert (0, 0) == (seen(store, first).open, seen(store, first).enqueued)
        assert "READY" == look(store, after(first)).state
        assert 1 == [copy.id for copy in publish(store)].count(mail.id)
        self.advance(store, LONG_WINDOW_MS - 60_000)
        assert "OUT" == look(store, mail).state
        self.advance(store, 60_001)
        assert store.messages.look(mail.id) is None

    @pytest.mark.parametrize("how", ["done", "dropped", "dead", "expired", "skipped", "crashed", "overdue"])
    def test_every_end_counts_once(self, store: Store, how: str) -> None:
        """However it ends, and however often it is said; the chunk goes on."""
        first, mail = start(store, max_backlog=0), a_message()
        enqueue(store, first, "c0", mail)
        goes_on(store, first, "c0")
        begin(store, a_message(), "h", locks=(LOCK,))
        copy = published(store, mail)
        if how == "expired":
            begin(store, copy.copy(expires_at_ms=store.now_ms() - 1), "m")
        elif how == "skipped":
            begin(store, copy, "m", locks=(NeedsLock("a", "skip"),))
        elif how == "crashed":
            begin(store, copy, "m", max_crashes=0)
            store.claims.lose(mail.id, "m")
        elif how == "overdue":
            run(store, copy, "m", "PARKED", ran=False, due_ms=0, group="g")
            self.advance(store, 1)
            store.parked.overdue(10)
        else:
            run(store, copy, "m", "DEAD" if how == "dead" else "DONE", why="dropped: no" if how == "dropped" else "")

        finish(store, copy, "m")
        begin(store, copy, "m2")

        assert (0, 1) == (seen(store, first).open, seen(store, first).enqueued)
        assert "READY" == look(store, after(first)).state

    def test_replayed_member_counts_again(self, store: Store) -> None:
        """It has not ended; purged, a dead one is not counted twice."""
        first, mail, purged = start(store, max_backlog=0), a_message(), a_message()
        enqueue(store, first, "c0", mail, purged)
        for copy in publish(store):
            run(store, copy, f"m-{copy.id}", "DEAD", why="no")
        dead = seen(store, first).open

        store.dead.replay(mail.id)
        store.dead.purge(purged.id)
        goes_on(store, first, "c0")

        assert (0, 1) == (dead, seen(store, first).open)
        assert waits_for_its_backlog(store, first)
        run(store, published(store, mail), "m2")
        assert (0, "READY") == (seen(store, first).open, look(store, after(first)).state)

    def test_replayed_member_does_not_revive_a_run_that_has_ended(self, store: Store) -> None:
        """It is open again, and the run is as done as it was."""
        first, mail = start(store), a_message()
        enqueue(store, first, "c0", mail)
        run(store, published(store, mail), "m", "DEAD", why="no")
        ends(store, first, "c0")
        ended_ms = seen(store, first).ended_ms

        store.dead.replay(mail.id)

        found = seen(store, first)
        assert ("done", 1) == (found.state, found.open)
        assert abs(ended_ms - found.ended_ms) < 60_000
        assert "ended" == store.runs.steer(first.id, "pause")

    def test_member_of_a_run_that_is_forgotten_ends_as_others(self, store: Store) -> None:
        """Its end revives nothing."""
        first, mail = start(store), a_message()
        enqueue(store, first, "c0", mail)
        ends(store, first, "c0")
        copy = published(store, mail)
        self.advance(store, DAY_MS + 1)

        assert "ok" == run(store, copy, "m")
        assert store.runs.look(first.id) is None

    def test_nothing_is_counted_for_a_run_that_nobody_knows(self, store: Store) -> None:
        """A count without a run would be kept for ever."""
        store.outbox.put([a_message()], 0, Within(runs=("nobody",)))

        assert store.runs.look("nobody") is None
        assert [] == store.runs.newest(10)

    def test_wait_for_the_backlog_is_not_caught_up(self, store: Store) -> None:
        """A chunk that waited is followed a whole pause later."""
        first, mail = start(store, max_backlog=0, pause_ms=300_000), a_message()
        enqueue(store, first, "c0", mail)
        goes_on(store, first, "c0")
        copy = published(store, mail)
        begin(store, copy, "m")
        self.advance(store, 3_000_000)
        finish(store, copy, "m")
        second = follow(store, "c1")
        goes_on(store, second, "c1")

        assert abs(look(store, after(second)).at_ms - store.now_ms() - 300_000) < 10_000

    def test_repeated_chunk_enqueues_nothing_twice(self, store: Store) -> None:
        """Its messages are done and forgotten, and the chunk is repeated days later: they are known by their ids."""
        first, sent, more = start(store), mails(2), a_message()
        enqueue(store, first, "c0", *sent)
        for copy in publish(store):
            run(store, copy, f"m-{copy.id}")
        store.claims.lose(first.id, "c0")
        again = follow(store, "c1")
        self.advance(store, WINDOW_MS + 60_000)
        assert [None, None] == [store.messages.look(message.id) for message in sent]
        store.claims.renew([(again.id, "c1")])

        assert [False, False, True] == enqueue(store, again, "c1", *sent, more)

        assert (1, 3) == (seen(store, first).open, seen(store, first).enqueued)
        assert [more.id] == [copy.id for copy in publish(store)]

    def test_repeated_chunk_claims_no_key_twice(self, store: Store) -> None:
        """The same for what is to be the only one of its kind."""
        first, mail = start(store), a_message()
        same = [(Same("k", "until_done", DAY_MS),)]
        put_once(store, [mail], same, 0, within(first, "c0"))
        run(store, published(store, mail), "m")
        store.claims.lose(first.id, "c0")
        again = follow(store, "c1")
        self.advance(store, WINDOW_MS + 60_000)
        store.claims.renew([(again.id, "c1")])

        assert [Standing(mail.id)] == store.outbox.put_once([mail], same, 0, within(again, "c1"))

        assert store.messages.look(mail.id) is None
        assert (0, 1) == (seen(store, first).open, seen(store, first).enqueued)

    def test_repeated_chunk_is_told_what_stands(self, store: Store) -> None:
        """Its call made nothing the first time, for another stood: it is told that one again."""
        first, other, mails = start(store), a_message(), [a_message(), a_message()]
        same = [(Same(key, "until_done", DAY_MS),) for key in "ab"]
        put_once(store, [other], same[:1], 0)
        told = store.outbox.put_once(mails, same, 0, within(first, "c0"))
        store.claims.lose(first.id, "c0")
        again = follow(store, "c1")

        assert [Standing(other.id), Standing(mails[1].id, created=True)] == told
        told = store.outbox.put_once(mails, same, 0, within(again, "c1"))

        assert [Standing(other.id), Standing(mails[1].id)] == told
        assert store.messages.look(mails[0].id) is None

    @pytest.mark.parametrize("how", ["paused", "dead"])
    def test_ids_are_known_however_long_the_chunk_rests(self, store: Store, how: str) -> None:
        """Weeks in a pause or among the dead letters."""
        first, mail = start(store), a_message()
        enqueue(store, first, "c0", mail)
        run(store, published(store, mail), "m")
        if how == "paused":
            store.runs.steer(first.id, "pause")
            store.claims.release(first.id, "c0")
        else:
            finish(store, first, "c0", "DEAD", why="no")
        self.advance(store, 40 * DAY_MS)
        if how == "paused":
            store.runs.steer(first.id, "resume")
        else:
            store.dead.replay(first.id)

        assert [False] == enqueue(store, follow(store, "c1"), "c1", mail)

    def test_next_chunk_enqueues_its_own(self, store: Store) -> None:
        """Ids are known to their chunk: those of another are not kept for ever."""
        first, mail = start(store), a_message()
        enqueue(store, first, "c0", mail)
        run(store, published(store, mail), "m")
        goes_on(store, first, "c0")
        second = follow(store, "c1")
        self.advance(store, WINDOW_MS + 60_000)
        store.claims.renew([(second.id, "c1")])

        assert [True] == enqueue(store, second, "c1", mail)

    @pytest.mark.parametrize("once", [False, True])
    def test_zombie_enqueues_nothing(self, store: Store, once: bool) -> None:
        """A worker that has lost its chunk is told so, and nothing of what it brings is kept or counted."""
        first, mail = start(store), a_message()
        store.claims.lose(first.id, "c0")
        again = follow(store, "c1")
        same = Same("k", "until_done", DAY_MS)
        put = partial(store.outbox.put_once, [mail], [(same,)]) if once else partial(store.outbox.put, [mail])

        with pytest.raises(ClaimLost):
            put(0, within(first, "c0"))

        assert store.messages.look(mail.id) is None
        assert 0 == seen(store, first).enqueued
        assert [True] == enqueue(store, again, "c1", mail)

    def test_zombie_of_a_chunk_that_has_ended_enqueues_nothing(self, store: Store) -> None:
        """Nor when its run has gone on, or has ended."""
        first = start(store)
        goes_on(store, first, "c0")
        with pytest.raises(ClaimLost):
            enqueue(store, first, "c0", a_message())
        ends(store, follow(store, "c1"), "c1")
        with pytest.raises(ClaimLost):
            enqueue(store, after(first), "c1", a_message())

        assert (0, "done") == (seen(store, first).enqueued, seen(store, first).state)

    def test_what_two_enqueue_is_counted_for_who_was_first(self, store: Store) -> None:
        """A message that stands already belongs to nobody else."""
        one, two, mail = start(store, "c0"), start(store, "c1"), a_message()

        assert [True] == enqueue(store, one, "c0", mail)
        assert [False] == enqueue(store, two, "c1", mail)

        assert [1, 0] == [seen(store, chunk).open for chunk in (one, two)]
