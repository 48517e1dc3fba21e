"""The keeper in the relay: what is meant is set, what ramps is raised or taken back, and hands off the rest."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from taskbridge.config import Settings
from taskbridge.enqueue import Sender
from taskbridge.errors import ConfigError
from taskbridge.evidence.buckets import bucket_of
from taskbridge.migration import keeper as keepers
from taskbridge.migration.book import Book, Migration, State, Step
from taskbridge.migration.changes import book_now, change, hold, move
from taskbridge.migration.keeper import LOOK_MS, WATCH_MS, MigrationKeeper
from taskbridge.migration.ramp import UNSERVED_MS
from taskbridge.routes import changes as routes
from taskbridge.routes.changes import table_now
from taskbridge.store.evidence import SLICE_MS, Slice
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock

from .conftest import a_migration, a_ramp, live


def no_backend(name: str) -> Any:
    raise AssertionError(f"the keeper has no business with {name}")


@pytest.fixture
def keeper(store: MemoryStore, clock: FakeClock) -> MigrationKeeper:
    sender = Sender(
        settings=Settings(backend="celery", broker_url="redis://127.0.0.1:1/0", store_url="memory://"),
        clock=clock,
        store=lambda: store,
        backend=no_backend,
    )
    return MigrationKeeper(sender)


def begun(store: MemoryStore, **words: Any) -> Migration:
    change(store, lambda book: book.begun(lambda id: a_migration(id=id, **words)), who="ann")
    return hold(store, book_now(store)[1].migrations[-1], who="ann")


def ramped(store: MemoryStore, *steps: float) -> None:
    ramp = a_ramp(*steps, hold_ms=60_000)
    step = Step(at_ms=store.now_ms(), who="ann", what="ramp", share=0.0)
    move(store, "", lambda migration: migration.after(step, state="ramping", ramp=ramp), who="ann")


def now(store: MemoryStore) -> Migration:
    return book_now(store)[1].migrations[-1]


def ran(store: MemoryStore, teller: str, **sides: tuple[int, int]) -> None:
    """Tell that each side has ended so many, of which so many failed, in 20 ms each."""
    at_ms = store.now_ms() // SLICE_MS * SLICE_MS
    turn = store.now_ms()
    slices = [
        Slice(
            task="bank.pay",
            backend=backend,
            at_ms=at_ms,
            succeeded=ended - failed,
            failed=failed,
            ran={bucket_of(20): ended},
            waited={bucket_of(5): ended},
        )
        for backend, (ended, failed) in sides.items()
    ]
    store.evidence.add(slices, teller=teller, turn=turn)


def keep(keeper: MigrationKeeper, store: MemoryStore, clock: FakeClock, seconds: int, **sides: tuple[int, int]) -> None:
    """Let so much time pass, with so much ended on each side each second, and workers on both."""
    for _ in range(seconds):
        clock.advance(1)
        live(store, "celery", "dramatiq")
        ran(store, "w", **sides)
        keeper()


def test_nothing_is_done_where_nothing_moves(store: MemoryStore, keeper: MigrationKeeper):
    """No migration, or one that stands."""
    assert 0 == keeper()
    begun(store)
    before = store.migrations.read(), store.routes.read()

    assert 0 == keeper()

    assert before == (store.migrations.read(), store.routes.read())


def test_what_is_meant_is_set(store: MemoryStore, keeper: MigrationKeeper):
    """Whoever took the step died before the routes had it; so also the end of one."""
    begun(store)
    step = Step(at_ms=2, who="ann", what="shared", share=5.0)
    change(store, lambda book: book.moved(book.one().after(step)), who="ann")

    assert 1 == keeper()

    assert (5.0, True) == (table_now(store)[1].rules[0].share, now(store).held)
    step = Step(at_ms=3, who="ann", what="given up", share=0.0)
    change(store, lambda book: book.moved(book.one().after(step, state="given up", held=False)), who="ann")
    assert 1 == keeper()
    assert ((), True) == (table_now(store)[1].rules, now(store).held)
    assert 0 == keeper()


@pytest.mark.parametrize("state", ["waiting", "ramping", "paused", "taken back"])
def test_rule_changed_by_hand_stops_a_migration(store: MemoryStore, keeper: MigrationKeeper, state: State):
    """However it stood; the keeper fights with nobody, and says each change once."""
    begun(store)
    ramped(store)
    step = Step(at_ms=store.now_ms(), who="ann", what="any", share=0.0)
    move(store, "", lambda migration: migration.after(step, state=state), who="ann")
    routes.change(store, lambda table: table.without(["m1.1"]), who="bob")

    assert 1 == keeper()

    assert ("taken back", 0.0) == (now(store).state, now(store).share)
    assert 0 == keeper()
    assert ["m1.1.rest"] == [rule.id for rule in table_now(store)[1].rules]
    half = msgspec.structs.replace(now(store).taking[0], share=50.0)
    routes.change(store, lambda table: table.with_rule(half, before="m1.1.rest"), who="bob")
    assert 1 == keeper()
    assert ("paused", 50.0) == (now(store).state, now(store).share)
    assert 0 == keeper()


def test_tasks_of_a_migration_are_watched(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """Those that live workers announce; again before the watch ends."""
    live(store, "celery", "dramatiq")
    begun(store)

    keeper()

    until_ms = store.now_ms() + WATCH_MS
    assert {"bank.pay": until_ms, "bank.report": until_ms} == store.evidence.watched()
    clock.advance(LOOK_MS / 1000)
    live(store, "celery", "dramatiq")
    keeper()
    assert until_ms + LOOK_MS == store.evidence.watched()["bank.pay"]


def test_equal_side_is_raised_to_the_whole(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """Each step is held; the evidence is kept with it."""
    begun(store)
    ramped(store, 10, 50, 100)

    keep(keeper, store, clock, 140, celery=(100, 1), dramatiq=(50, 0))

    shares = [step.share for step in now(store).steps]
    assert [0.0, 0.0, 10.0, 50.0, 100.0] == shares
    raised = now(store).steps[-1]
    assert raised.evidence is not None
    assert ("better_or_equal", "the relay") == (raised.evidence.verdict.word, raised.who)
    assert ("waiting", 100.0) == (now(store).state, table_now(store)[1].rules[0].share)
    held_ms = [step.at_ms for step in now(store).steps[2:]]
    assert all(60_000 <= after - before <= 70_000 for before, after in pairwise(held_ms))


def test_failing_side_is_taken_back(
    store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """Within its first step, without waiting for its end; the log says why."""
    caplog.set_level(logging.WARNING, "taskbridge.relay")
    begun(store)
    ramped(store, 10, 50, 100)

    keep(keeper, store, clock, 50, celery=(100, 1), dramatiq=(50, 10))

    back = now(store).steps[-1]
    assert ("taken back", 0.0, "taken back") == (now(store).state, back.share, back.what)
    assert "of attempts fail" in back.why
    assert 0.0 == table_now(store)[1].rules[0].share
    assert "taken back" in caplog.text
    keep(keeper, store, clock, 90, celery=(100, 1), dramatiq=(50, 0))
    assert 0.0 == now(store).share


def test_side_without_workers_is_taken_back(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """When they have been away for longer than a restart takes; not where nobody is to be seen."""
    begun(store)
    ramped(store, 10, 100)
    keep(keeper, store, clock, 5, celery=(100, 0), dramatiq=(10, 0))
    assert 10.0 == now(store).share

    for _ in range(UNSERVED_MS // 1000 + 2 * LOOK_MS // 1000):
        clock.advance(1)
        live(store, "celery")
        keeper()

    assert ("taken back", "no live worker has served dramatiq for 30 s") == (now(store).state, now(store).steps[-1].why)


def test_restart_of_the_workers_is_no_end(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """Away for a while, twice, is not away for long."""
    begun(store)
    ramped(store, 10, 100)
    keep(keeper, store, clock, 5, celery=(100, 0), dramatiq=(10, 0))

    for n in range(4 * UNSERVED_MS // 1000):
        clock.advance(1)
        live(store, *(["celery", "dramatiq"] if n % 25 < 10 else ["celery"]))
        keeper()

    assert 10.0 == now(store).share


def test_side_whose_workers_are_not_to_be_seen_goes_on(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """Somebody has insisted on it: the engine's own command announces nothing."""
    begun(store, unserved=True)
    ramped(store, 10, 100)

    for _ in range(3 * UNSERVED_MS // 1000):
        clock.advance(1)
        live(store, "celery")
        ran(store, "w", celery=(100, 0), dramatiq=(10, 0))
        keeper()

    assert 100.0 == now(store).share


def test_paused_ramp_is_left_alone(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """Nothing moves by itself, not back either."""
    begun(store)
    ramped(store, 10, 100)
    keep(keeper, store, clock, 5, celery=(100, 0), dramatiq=(10, 0))
    step = Step(at_ms=store.now_ms(), who="ann", what="paused", share=10.0)
    move(store, "", lambda migration: migration.after(step, state="paused"), who="ann")

    keep(keeper, store, clock, 90, celery=(100, 1), dramatiq=(50, 40))

    assert (10.0, "paused") == (now(store).share, now(store).state)


def test_step_of_somebody_else_in_between_wins(
    store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """What the keeper decided of an older word is not done."""
    begun(store)
    ramped(store, 10, 100)
    keep(keeper, store, clock, 55, celery=(100, 0), dramatiq=(50, 0))
    decide = keepers.decide

    def decide_late(*words: Any) -> Migration | None:
        decided = decide(*words)
        if decided is not None and now(store).state == "ramping":
            step = Step(at_ms=store.now_ms(), who="ann", what="taken back", share=0.0)
            move(store, "", lambda migration: migration.after(step, state="taken back"), who="ann")
        return decided

    monkeypatch.setattr(keepers, "decide", decide_late)
    keep(keeper, store, clock, 30, celery=(100, 0), dramatiq=(50, 0))

    assert (0.0, "ann") == (now(store).share, now(store).steps[-1].who)
    assert 0.0 == table_now(store)[1].rules[0].share


def test_book_of_a_newer_release_is_left_alone(
    store: MemoryStore, keeper: MigrationKeeper, monkeypatch: pytest.MonkeyPatch
):
    """It is said once, and nothing of the book before is done."""
    begun(store)
    ramped(store, 10, 100)
    live(store, "celery", "dramatiq")
    monkeypatch.setattr(keepers, "LOOK_MS", 10**15)
    keeper()
    store.migrations.write(3, msgspec.json.encode({"form": 2}), who="newer", note="")

    with pytest.raises(ConfigError, match="version 4: the migrations cannot be read by this release"):
        keeper()

    monkeypatch.setattr(keepers, "LOOK_MS", 0)
    assert 0 == keeper()
    assert 0.0 == table_now(store)[1].rules[0].share


def test_another_keeper_goes_on(store: MemoryStore, keeper: MigrationKeeper, clock: FakeClock):
    """All it needs is in the book."""
    begun(store)
    ramped(store, 10, 100)
    keep(keeper, store, clock, 30, celery=(100, 1), dramatiq=(50, 0))
    other = MigrationKeeper(keeper._sender)

    keep(other, store, clock, 50, celery=(100, 1), dramatiq=(50, 0))

    assert 100.0 == now(store).share
    assert isinstance(book_now(store)[1], Book)
