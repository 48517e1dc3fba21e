"""Tasks: who announces them, and what each side did with them of late."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.errors import ConfigError
from taskbridge.operations.tasks import WINDOW_MS, task, tasks
from taskbridge.store.evidence import SLICE_MS, Slice


def live(bridge: Bridge, name: str, *backends: str, tasks: tuple[str, ...] = ("bank.pay", "bank.report")) -> None:
    """Let a worker announce tasks."""
    known = {one: Known(queue="ledger") for one in tasks}
    words = {"queues": ["ledger"], "processes": 1, "tasks": {key: ["user_id"] for key in tasks}, "known": known}
    announce(bridge.store, Announcement(name=name, backends=list(backends), **words))


def count(bridge: Bridge, *slices: Slice) -> None:
    """Have this counted."""
    store = bridge.store
    store.evidence.watch({one.task: store.now_ms() + 60_000 for one in slices})
    store.evidence.add(slices, teller="me", turn=1)


def test_tasks_are_those_of_live_workers_and_of_this_process(bridge: Bridge) -> None:
    """By name, with who announces them; a part of the name finds them in any case."""

    @bridge.task(name="bank.audit", queue="audits")
    def audit(day: str) -> None: ...

    live(bridge, "w1", "celery")
    live(bridge, "w2", "dramatiq", tasks=("bank.pay",))

    found = tasks(bridge)

    assert ["bank.audit", "bank.pay", "bank.report"] == [one.name for one in found.tasks]
    assert [("audits", 0, ()), ("ledger", 2, ("celery", "dramatiq")), ("ledger", 1, ("celery",))] == [
        (one.queue, one.workers, one.backends) for one in found.tasks
    ]
    assert (["bank.report"], 1) == (
        [one.name for one in tasks(bridge, part="REP").tasks],
        tasks(bridge, part="REP").total,
    )


def test_pages_of_tasks_follow_each_other(bridge: Bridge) -> None:
    """And past the end there is none."""
    live(bridge, "w1", "celery", tasks=("a", "b", "c"))

    pages = [tasks(bridge, limit=2, offset=offset) for offset in (0, 2, 4)]

    assert [["a", "b"], ["c"], []] == [[one.name for one in page.tasks] for page in pages]
    assert [3, 3, 3] == [page.total for page in pages]


def test_sides_are_told_apart(bridge: Bridge) -> None:
    """Each with its attempts, failures and spans, of the last ten minutes; one task is looked at for an hour."""
    live(bridge, "w1", "celery", "dramatiq")
    now_ms = bridge.store.now_ms() // SLICE_MS * SLICE_MS
    words = {"task": "bank.pay", "ran": {40: 10}, "waited": {20: 10}}
    long_ago = now_ms - WINDOW_MS - 2 * SLICE_MS
    count(
        bridge,
        Slice(backend="celery", at_ms=now_ms - SLICE_MS, succeeded=9, failed=1, **words),
        Slice(backend="dramatiq", at_ms=now_ms - SLICE_MS, succeeded=10, **words),
        Slice(backend="celery", at_ms=long_ago, succeeded=10, **words),
    )

    listed, one = tasks(bridge, part="pay").tasks[0], task(bridge, "bank.pay").tasks[0]

    assert [("celery", 10, 1, 0.1), ("dramatiq", 10, 0, 0.0)] == [
        (did.backend, did.ended, did.failed, did.failed_share) for did in listed.did
    ]
    assert (pytest.approx(10), pytest.approx(10)) == listed.did[0].ran_ms
    assert (pytest.approx(1), pytest.approx(1)) == listed.did[0].waited_ms
    assert [20, 10] == [did.ended for did in one.did]


def test_task_that_nobody_has_is_refused(bridge: Bridge) -> None:
    """With the nearest name."""
    live(bridge, "w1", "celery")

    with pytest.raises(ConfigError, match=r"no live worker has a task called 'bank.pey'; did you mean 'bank.pay'"):
        task(bridge, "bank.pey")
