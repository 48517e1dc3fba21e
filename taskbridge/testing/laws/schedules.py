"""The laws of schedules: a tick becomes one message or none, and nobody acts on what is no longer so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from ...message import Message, encode
from ...needs import Same
from ...store import LONG_WINDOW_MS, Store
from ...store.flow import Next
from ...store.schedules import Declaration, ScheduleState, Tick
from ..fakes import a_message
from .outbox import LONG_S, SOON_S, Waiting, waited_s
from .steps import Laws, begin, finish, look, publish, put_once, run, take

#: How long a declaration stands in these laws.
LEASE_MS = 60_000


def declare(
    store: Store, name: str = "nightly", document: bytes = b"plan", tick_ms: int | None = None, *, stamp: int = 1
) -> bool:
    """Say what code says, by what is seen now; the next tick is due, if nothing else is said."""
    seen = seen_as(store, name)
    version = seen.version if seen else 0
    tick_ms = store.now_ms() if tick_ms is None else tick_ms
    declaration = Declaration(name=name, version=version, document=document, tick_ms=tick_ms)
    (stands,) = store.schedules.declare([declaration], stamp, LEASE_MS)
    return stands


def seen_as(store: Store, name: str = "nightly") -> ScheduleState | None:
    """Return a schedule as it stands."""
    return next((state for state in store.schedules.all() if state.name == name), None)


def seen(store: Store, name: str = "nightly") -> ScheduleState:
    """Return a schedule that there is."""
    state = seen_as(store, name)
    assert state is not None
    return state


def tick_of(state: ScheduleState, message: Message | None, next_in_ms: int = 60_000, **more: Any) -> Tick:
    """The tick of a schedule that is due, as a relay fires it."""
    return Tick(
        name=state.name,
        version=state.version,
        tick_ms=state.tick_ms,
        next_ms=state.tick_ms + next_in_ms,
        message=message,
        **more,
    )


def fire(store: Store, message: Message | None = None, next_in_ms: int = 60_000, **more: Any) -> str:
    """Fire the next tick, whenever it is."""
    return store.schedules.fire(tick_of(seen(store), message, next_in_ms, **more))


class ScheduleLaws(Laws):
    """``fire``, ``due`` and ``put_off``."""

    def test_tick_becomes_a_message(self, store: Store) -> None:
        """Message and next tick are written together; the relay has the message to publish, as it was made."""
        message = a_message()
        declare(store)
        (due,) = store.schedules.due(10)

        assert "fired" == store.schedules.fire(tick_of(due, message))

        after = seen(store)
        assert [message] == take(store)
        assert encode(message) == look(store, message).body
        assert (due.tick_ms, due.tick_ms + 60_000, message.id, 1) == (
            after.last_ms,
            after.tick_ms,
            after.last_id,
            after.fired,
        )
        assert [] == store.schedules.due(10)

    def test_tick_fires_once_over_any_number_of_relays(self, store: Store) -> None:
        """Of all who saw it due, one fires it; there is one message, though each made one."""
        declare(store)
        (due,) = store.schedules.due(10)
        ticks = [tick_of(due, a_message()) for _ in range(16)]

        with ThreadPoolExecutor(8) as relays:
            became = list(relays.map(store.schedules.fire, ticks))

        assert ["fired"] + ["stale"] * 15 == sorted(became)
        assert 1 == len(take(store))
        assert 1 == seen(store).fired

    def test_message_of_a_tick_is_made_once(self, store: Store) -> None:
        """A tick whose message the store knows makes none, in whatever state it is, and the schedule goes on."""
        message = a_message()
        declare(store)
        fire(store, message)
        publish(store)
        run(store, message)

        assert "missed" == fire(store, message)

        assert "DONE" == look(store, message).state
        assert [] == take(store)
        assert (1, 1) == (seen(store).fired, seen(store).missed)

    def test_tick_that_is_not_after_the_last_is_not_fired(self, store: Store) -> None:
        """Whatever the schedule was changed to meanwhile."""
        declare(store)
        (due,) = store.schedules.due(10)
        fire(store, a_message())
        before = seen(store)
        store.schedules.change("nightly", before.version, changes=b"sooner", paused=False, tick_ms=due.tick_ms)

        assert "missed" == fire(store, a_message())

        assert 1 == len(take(store))
        assert (due.tick_ms, due.tick_ms + 60_000) == (seen(store).last_ms, seen(store).tick_ms)

    def test_tick_waits_for_its_instant(self, store: Store) -> None:
        """A schedule is due when its tick is, and not before; the longest due first, no more than asked for."""
        now_ms = store.now_ms()
        declare(store, "late", tick_ms=now_ms + 100_000)
        declare(store, "soon", tick_ms=now_ms - 1_000)
        declare(store, "sooner", tick_ms=now_ms - 2_000)

        assert ["sooner", "soon"] == [state.name for state in store.schedules.due(10)]
        assert ["sooner"] == [state.name for state in store.schedules.due(1)]
        self.advance(store, 90_000)
        assert 2 == len(store.schedules.due(10))
        self.advance(store, 10_001)
        assert ["sooner", "soon", "late"] == [state.name for state in store.schedules.due(10)]

    def test_message_of_a_tick_may_wait(self, store: Store) -> None:
        """Jitter and delay: it is made at once and published when it is due."""
        message = a_message()
        declare(store)
        fire(store, message, wait_ms=20_000)

        assert ("DELAYED", []) == (look(store, message).state, take(store))
        self.advance(store, 20_001)
        assert [message] == take(store)
        assert {("mail", "DELAYED"): 1} == store.messages.counts()

    def test_missed_tick_makes_no_message(self, store: Store) -> None:
        """It is counted, and the schedule goes on."""
        declare(store)
        (due,) = store.schedules.due(10)

        assert "missed" == fire(store, None, missed=3)

        after = seen(store)
        assert (due.tick_ms, due.tick_ms + 60_000, 0, 3) == (after.last_ms, after.tick_ms, after.fired, after.missed)
        assert [] == take(store)

    def test_ticks_that_were_passed_over_are_counted(self, store: Store) -> None:
        """Beside the one of them that is fired."""
        declare(store)

        assert "fired" == fire(store, a_message(), missed=2)

        assert (1, 2) == (seen(store).fired, seen(store).missed)

    def test_schedule_may_end(self, store: Store) -> None:
        """After the last tick there is none to wait for."""
        declare(store)
        state = seen(store)
        last = Tick(name="nightly", version=state.version, tick_ms=state.tick_ms, message=a_message())

        assert "fired" == store.schedules.fire(last)

        self.advance(store, 365 * 24 * 3_600_000)
        assert [] == store.schedules.due(10)
        assert 0 == seen(store).tick_ms

    @pytest.mark.parametrize("where", ["DELAYED", "READY", "OUT", "RUN", "PARKED"])
    def test_overlapping_tick_is_skipped(self, store: Store, where: str) -> None:
        """While the message of the last fired tick has not come to its end, one that may not overlap is skipped."""
        message = a_message()
        declare(store)
        fire(store, message, wait_ms=30_000 if where == "DELAYED" else 0)
        if where not in {"DELAYED", "READY"}:
            publish(store)
        if where in {"RUN", "PARKED"}:
            begin(store, message)
        if where == "PARKED":
            finish(store, message, state="PARKED", due_ms=60_000, group="tests.send")

        assert ["skipped", "skipped"] == [fire(store, a_message(), overlap="skip") for _ in range(2)]

        assert where == look(store, message).state
        assert (1, 2, message.id) == (seen(store).fired, seen(store).skipped, seen(store).last_id)

    @pytest.mark.parametrize("end", ["DONE", "DEAD"])
    def test_tick_after_the_end_of_the_one_before_is_fired(self, store: Store, end: str) -> None:
        """Done or dead, it overlaps with nothing; and where overlap is allowed nobody asks."""
        first, second = a_message(), a_message()
        declare(store)
        fire(store, first)
        publish(store)
        run(store, first, state=end)

        assert "fired" == fire(store, second, overlap="skip")
        assert "fired" == fire(store, a_message(), overlap="allow")

    def test_tick_is_skipped_while_the_run_of_the_one_before_goes_on(self, store: Store) -> None:
        """Its first chunk is done, and others follow: the run is what overlaps, until its last chunk has ended."""
        message, following = a_message(), a_message()
        declare(store)
        fire(store, message)
        publish(store)
        begin(store, message)
        bounds, at = msgspec.Raw(b"[0,2]"), msgspec.Raw(b"0")
        store.runs.open(message, "c1", bounds=bounds, at=at, total=2, max_backlog=-1, pause_ms=0)
        finish(store, message, next=Next(did=1, at=msgspec.Raw(b"1"), message=following))

        assert "DONE" == look(store, message).state
        assert "skipped" == fire(store, a_message(), overlap="skip")
        publish(store)
        begin(store, following, "c2")
        finish(store, following, "c2", next=Next(did=1))
        assert "fired" == fire(store, a_message(), overlap="skip")

    def test_tick_of_a_unique_call_is_skipped_while_another_stands(self, store: Store) -> None:
        """As enqueueing it again would give the one that is there; when that has started, the next is fired."""
        first, second = a_message(), a_message()
        same = (Same("call:tests.send", "until_started", 60_000),)
        declare(store)

        became = [fire(store, first, same=same), fire(store, a_message(), same=same)]
        publish(store)
        begin(store, first)
        became.append(fire(store, second, same=same))

        assert ["fired", "skipped", "fired"] == became
        assert [second.id] == put_once(store, [a_message()], [same], 0)

    def test_foreign_message_is_forgotten(self, store: Store) -> None:
        """What no worker of ours runs never tells its end: published, its record has one by itself."""
        foreign, ours = a_message(), a_message()
        declare(store)
        fire(store, foreign, foreign=True)
        fire(store, ours)
        publish(store)

        self.advance(store, LONG_WINDOW_MS - 60_000)
        assert ("OUT", "OUT") == (look(store, foreign).state, look(store, ours).state)
        self.advance(store, 60_001)

        assert store.messages.look(foreign.id) is None
        assert "OUT" == look(store, ours).state

    def test_foreign_message_that_is_begun_is_kept(self, store: Store) -> None:
        """A worker that runs it after all owns it as any other."""
        message = a_message()
        declare(store)
        fire(store, message, foreign=True)
        publish(store)
        begin(store, message)
        finish(store, message, state="DEAD", why="no")

        self.advance(store, 2 * LONG_WINDOW_MS)

        assert "DEAD" == look(store, message).state

    def test_tick_that_is_put_off_is_due_later(self, store: Store) -> None:
        """It is the same tick then; what is not there is not put off."""
        declare(store)
        (due,) = store.schedules.due(10)

        store.schedules.put_off("nightly", 10_000)
        store.schedules.put_off("nobody", 10_000)

        assert [] == store.schedules.due(10)
        self.advance(store, 10_001)
        assert [due.tick_ms] == [state.tick_ms for state in store.schedules.due(10)]
        assert ["nightly"] == [state.name for state in store.schedules.all()]

    def test_wait_ends_at_the_next_tick(self, store: Store) -> None:
        """The relay sleeps until a tick is due; these take real time."""
        declare(store, tick_ms=store.now_ms() + 200)
        waited_s(store, 0.001)

        assert waited_s(store, LONG_S) < SOON_S

    def test_change_ends_a_wait(self, store: Store) -> None:
        """A tick that is sooner, by code or by the operator, wakes the relay."""
        later_ms = store.now_ms() + 600_000
        declare(store, tick_ms=later_ms)

        with Waiting(store) as waiting:
            store.schedules.change(
                "nightly", seen(store).version, changes=b"now", paused=False, tick_ms=store.now_ms() + 200
            )
        with Waiting(store) as waiting_again:
            declare(store, "another", tick_ms=store.now_ms() + 200)

        assert waiting.s < SOON_S
        assert waiting_again.s < SOON_S


class DeclarationLaws(Laws):
    """``declare``, ``change`` and ``forget``."""

    def test_schedule_is_seen_as_declared(self, store: Store) -> None:
        """Byte for byte, with its next tick, its stamp, and until when it stands; each by its name."""
        now_ms = store.now_ms()
        declare(store, "b", b"\x00\xff", now_ms + 5_000, stamp=7)
        declare(store, "a", b"other", now_ms + 6_000, stamp=7)

        a, b = store.schedules.all()

        assert ("a", b"other", "b", b"\x00\xff") == (a.name, a.declared, b.name, b.declared)
        assert (now_ms + 5_000, 7, False, b"", 0, 0, "") == (
            b.tick_ms,
            b.stamp,
            b.paused,
            b.changes,
            b.last_ms,
            b.fired,
            b.last_id,
        )
        assert abs(b.lapses_ms - b.now_ms - LEASE_MS) < 5_000

    def test_repeated_declaration_changes_nothing(self, store: Store) -> None:
        """Who says the same again keeps the tick, and refuses nobody who has seen it before; it stands for longer."""
        declare(store)
        before = seen(store)
        self.advance(store, 30_000)

        assert declare(store, tick_ms=before.tick_ms + 999_000)

        after = seen(store)
        assert (before.version, before.tick_ms) == (after.version, after.tick_ms)
        assert after.lapses_ms - after.now_ms > LEASE_MS - 5_000

    def test_changed_declaration_keeps_the_tick_or_sets_it(self, store: Store) -> None:
        """As it says; and whoever saw the other is too late to fire."""
        declare(store)
        before = seen(store)
        kept = Declaration(name="nightly", version=before.version, document=b"other args")

        assert [True] == store.schedules.declare([kept], 1, LEASE_MS)
        assert (b"other args", before.tick_ms) == (seen(store).declared, seen(store).tick_ms)
        assert "stale" == store.schedules.fire(tick_of(before, a_message()))
        assert declare(store, document=b"other cron", tick_ms=before.tick_ms + 5)

        assert before.tick_ms + 5 == seen(store).tick_ms

    def test_newest_declaration_counts_while_it_lives(self, store: Store) -> None:
        """Of two releases side by side the newer one; the older one when the newer has said nothing for a lease."""
        assert declare(store, document=b"new", stamp=2)

        assert not declare(store, document=b"old", stamp=1)
        self.advance(store, LEASE_MS - 5_000)
        assert not declare(store, document=b"old", stamp=1)
        self.advance(store, 5_001)
        assert declare(store, document=b"old", stamp=1)
        assert declare(store, document=b"new", stamp=2)

        assert (b"new", 2) == (seen(store).declared, seen(store).stamp)

    def test_declaration_of_what_has_changed_is_refused(self, store: Store) -> None:
        """Who saw another version, or none, says nothing; in one call each has its own answer."""
        declare(store)
        version = seen(store).version
        said = [
            Declaration(name="nightly", version=0, document=b"other"),
            Declaration(name="new", version=0, document=b"new", tick_ms=store.now_ms()),
            Declaration(name="nobody", version=version, document=b"other"),
        ]

        assert [False, True, False] == store.schedules.declare(said, 1, LEASE_MS)

        assert [("new", b"new"), ("nightly", b"plan")] == [(one.name, one.declared) for one in store.schedules.all()]

    def test_taken_back_schedule_ticks_no_more(self, store: Store) -> None:
        """It is remembered, so that an older release does not bring it back; a newer one may."""
        declare(store, stamp=2)
        tick_ms = seen(store).tick_ms

        assert declare(store, document=b"taken back", tick_ms=0, stamp=2)

        assert [] == store.schedules.due(10)
        assert not declare(store, stamp=1)
        version = seen(store).version
        again = Declaration(name="nightly", version=version, document=b"plan", tick_ms=tick_ms)
        assert [True] == store.schedules.declare([again], 3, LEASE_MS)
        assert [tick_ms] == [state.tick_ms for state in store.schedules.due(10)]

    def test_operators_word_stands_beside_the_declaration(self, store: Store) -> None:
        """It sets the tick, outlives declarations, and is taken back by itself."""
        declare(store)
        version, set_ms = seen(store).version, store.now_ms() + 5_000

        assert store.schedules.change("nightly", version, changes=b"at noon", paused=False, tick_ms=set_ms)
        assert (b"at noon", set_ms) == (seen(store).changes, seen(store).tick_ms)
        declare(store, document=b"other", tick_ms=set_ms)
        assert b"at noon" == seen(store).changes
        assert not store.schedules.change("nightly", version, changes=b"", paused=True, tick_ms=1)
        assert not store.schedules.change("nobody", 1, changes=b"", paused=True, tick_ms=1)
        assert store.schedules.change("nightly", seen(store).version, changes=b"", paused=False, tick_ms=set_ms)

        assert (b"", b"other") == (seen(store).changes, seen(store).declared)

    def test_paused_schedule_does_not_tick(self, store: Store) -> None:
        """Whatever code says meanwhile; resumed, it ticks from when it is told to. Who would fire it is too late."""
        declare(store)
        (due,) = store.schedules.due(10)

        assert store.schedules.change("nightly", due.version, changes=b"", paused=True, tick_ms=due.tick_ms)

        assert "stale" == store.schedules.fire(tick_of(due, a_message()))
        declare(store, document=b"other")
        assert [] == store.schedules.due(10)
        assert seen(store).paused
        assert store.schedules.change("nightly", seen(store).version, changes=b"", paused=False, tick_ms=store.now_ms())
        assert ["nightly"] == [state.name for state in store.schedules.due(10)]

    def test_schedule_that_nobody_declares_is_forgotten(self, store: Store) -> None:
        """After its time, and not before; what was taken back, too. It ticks until then."""
        declare(store, "gone")
        declare(store, "kept")
        declare(store, "taken back")
        declare(store, "taken back", b"taken back", 0)
        self.advance(store, LEASE_MS)
        assert [] == store.schedules.forget(100_000)
        declare(store, "kept")
        self.advance(store, 100_000 - 5_000)
        assert "gone" in [state.name for state in store.schedules.due(10)]
        assert [] == store.schedules.forget(100_000)
        self.advance(store, 5_001)

        assert ["gone", "taken back"] == sorted(store.schedules.forget(100_000))

        assert ["kept"] == [state.name for state in store.schedules.all()]
        assert ["kept"] == [state.name for state in store.schedules.due(10)]

    @pytest.mark.parametrize("paused", [True, False])
    def test_operators_word_is_not_forgotten(self, store: Store, paused: bool) -> None:
        """What was paused or set is so when a worker declares it after a long while, and it ticks if it may."""
        declare(store)
        changes = b"" if paused else b"at noon"
        store.schedules.change("nightly", seen(store).version, changes=changes, paused=paused, tick_ms=1)
        self.advance(store, LEASE_MS + 100_001)

        assert ["nightly"] == store.schedules.forget(100_000)
        assert [] == store.schedules.forget(100_000)
        assert [] == store.schedules.due(10)
        declare(store)

        assert (b"plan", changes, paused) == (seen(store).declared, seen(store).changes, seen(store).paused)
        assert ([] if paused else ["nightly"]) == [state.name for state in store.schedules.due(10)]
