"""Which slices of evidence both sides are judged by."""

from __future__ import annotations

import msgspec
import pytest

from taskbridge.config import BackendSettings, Settings
from taskbridge.evidence.buckets import bucket_of
from taskbridge.evidence.judge import Bounds
from taskbridge.migration.sides import LONGEST_MS, WINDOW_MS, evidence_of, since
from taskbridge.routes.checks import Landscape
from taskbridge.store.evidence import SLICE_MS, Slice
from taskbridge.store.memory import MemoryStore
from taskbridge.testing import FakeClock

from .conftest import a_migration, a_ramp

NOW_MS = 1_000 * SLICE_MS + 7_000


@pytest.mark.parametrize(
    ("since_ms", "from_ms"),
    [
        (NOW_MS - 60_000, 995 * SLICE_MS),
        (995 * SLICE_MS, 995 * SLICE_MS),
        (995 * SLICE_MS + 1, 996 * SLICE_MS),
        (NOW_MS - 2 * LONGEST_MS, NOW_MS - LONGEST_MS),
    ],
)
def test_step_is_judged_by_what_came_after_it(since_ms: int, from_ms: int):
    """The slice in which the share changed is of both shares; and what is long ago says little of now."""
    ramp = a_ramp(at=0, since_ms=since_ms)

    assert from_ms == since(a_migration(state="ramping", ramp=ramp), NOW_MS)


@pytest.mark.parametrize("state", ["waiting", "paused", "taken back"])
def test_share_that_stands_is_looked_at_over_the_last_minutes(state: str):
    """Whatever ramp it once had."""
    assert NOW_MS - WINDOW_MS == since(a_migration(state=state, ramp=a_ramp(at=0, since_ms=NOW_MS)), NOW_MS)


def slices(backend: str, task: str, ended: int, at_ms: int, failed: int = 0) -> Slice:
    spans = {bucket_of(20): ended}
    return Slice(
        task=task, backend=backend, at_ms=at_ms, succeeded=ended - failed, failed=failed, ran=spans, waited=spans
    )


def test_sides_are_of_the_same_tasks_under_all_their_names(clock: FakeClock, store: MemoryStore):
    """A worker may know a backend by another name; what other tasks did is no evidence."""
    settings = Settings(
        broker_url="redis://127.0.0.1:1/0",
        backends={"old": BackendSettings(engine="celery", broker_url="redis://127.0.0.1:1/0")},
    )
    there = Landscape(settings=settings, backend=pytest.fail, workers=[], definitions={})
    now_ms = store.now_ms()
    at_ms = now_ms // SLICE_MS * SLICE_MS
    store.evidence.watch(dict.fromkeys(("bank.pay", "bank.report", "mail.send"), now_ms + 60_000))
    told = [slices("celery", "bank.pay", 10, at_ms), slices("old", "bank.report", 20, at_ms)]
    told += [slices("dramatiq", "bank.pay", 4, at_ms, failed=1), slices("dramatiq", "mail.send", 8, at_ms)]
    store.evidence.add(told, teller="w", turn=1)
    clock.advance(10)

    found = evidence_of(store, a_migration(), ["bank.pay", "bank.report"], there, store.now_ms())

    assert (30, 4, "unsure") == (found.verdict.old_ended, found.verdict.new_ended, found.verdict.word)
    easy = a_migration(ramp=msgspec.structs.replace(a_ramp(), bounds=Bounds(min_samples=1, max_error_ratio=1e6)))
    found = evidence_of(store, easy, ["bank.pay", "bank.report"], there, store.now_ms())
    assert "attempts, and" not in "; ".join(found.verdict.reasons), "the ramp's own bounds hold"


def waiting(backend: str, waits_ms: float, at_ms: int) -> Slice:
    return Slice(
        task="bank.pay",
        backend=backend,
        at_ms=at_ms,
        succeeded=100,
        ran={bucket_of(20): 100},
        waited={bucket_of(waits_ms): 100},
    )


def test_new_side_may_wait_as_the_old_one_did_when_it_carried_more(clock: FakeClock, store: MemoryStore):
    """It has a longer queue because it carries more; where the old side never waited so long, it is worse."""
    there = Landscape(settings=Settings(), backend=pytest.fail, workers=[], definitions={})
    store.evidence.watch({"bank.pay": store.now_ms() + 600_000})
    begins_ms = store.now_ms() // SLICE_MS * SLICE_MS
    told = [waiting("celery", 900, begins_ms + n * SLICE_MS) for n in range(6)]
    step_ms = begins_ms + 6 * SLICE_MS
    for n in range(6):
        at_ms = step_ms + n * SLICE_MS
        told += [waiting("celery", 100, at_ms), waiting("dramatiq", 800, at_ms)]
    clock.advance(12 * SLICE_MS / 1000)
    store.evidence.add(told, teller="w", turn=1)
    ramp = a_ramp(at=0, since_ms=step_ms)

    ramping = evidence_of(store, a_migration(state="ramping", ramp=ramp), ["bank.pay"], there, store.now_ms())

    assert "better_or_equal" == ramping.verdict.word
    alone = [one for one in told if one.at_ms >= step_ms]
    bare = MemoryStore(clock)
    bare.evidence.watch({"bank.pay": bare.now_ms() + 600_000})
    bare.evidence.add(alone, teller="w", turn=1)
    found = evidence_of(bare, a_migration(state="ramping", ramp=ramp), ["bank.pay"], there, bare.now_ms())
    assert ("worse", 600) == (found.verdict.word, found.verdict.new_ended)
