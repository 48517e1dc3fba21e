"""The page of shared memory: what a child shows, its supervisor reads, torn or not."""

from __future__ import annotations

import mmap
import os
import signal
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.message import MAX_ID_BYTES
from taskbridge.policies.timeout import Overdue
from taskbridge.worker.slots import SLOT_SIZE, Running, Slot, shared_memory

claims = some.from_regex(r"[a-z.]{1,80}:[a-z-]{1,40}:[0-9]{1,19}", fullmatch=True)
ids = some.text(some.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda id: len(id.encode()) <= MAX_ID_BYTES
)

OLD, NEW = Running("old", "owner:celery:1", 1.0), Running("new-and-longer", "owner:dramatiq:22", 2.0)


@pytest.fixture
def slot() -> Slot:
    return Slot(mmap.mmap(-1, 3 * SLOT_SIZE), 1)


def write(slot: Slot, running: Running) -> None:
    slot.write(0, running.id, running.claim, running.since_s)


@given(ids, claims, some.floats(0, 10**9))
def test_what_is_written_is_read(id: str, claim: str, now_s: float):
    """Whatever an id of a native producer looks like; with the backend and the tag that are in the claim."""
    slot = Slot(mmap.mmap(-1, SLOT_SIZE), 0)

    slot.write(0, id, claim, now_s)

    (running,) = slot.running()
    assert Running(id, claim, now_s) == running
    assert claim.split(":")[1:] == [running.backend, running.tag]


def test_what_the_store_has_no_claim_of_is_shown_as_such(slot: Slot):
    """Until the cell is used again; and the child is told whether all is recorded."""
    slot.write(0, "a", "o:celery:1", 1.0, unrecorded=True)
    slot.write(1, "b", "o:celery:2", 2.0)
    shown = [running.unrecorded for running in slot.running()]
    slot.write(0, "c", "o:celery:3", 3.0)

    assert ([True, False], [False, False]) == (shown, [running.unrecorded for running in slot.running()])
    told = [slot.records]
    for all in (True, False):
        slot.record(all=all)
        told.append(slot.records)
    assert [False, True, False] == told


def test_two_claims_stand_side_by_side(slot: Slot):
    """The end of one and the beginning of the next travel together; each is cleared alone."""
    slot.write(0, "a", "o:celery:1", 1.0)
    slot.write(1, "b", "o:celery:2", 2.0)
    both = [running.id for running in slot.running()]

    slot.clear(0, 3.0)
    one = [running.id for running in slot.running()]
    slot.write(0, "c", "o:celery:3", 4.0)
    slot.clear(1, 5.0)

    assert (["a", "b"], ["b"]) == (both, one)
    assert [Running("c", "o:celery:3", 4.0)] == slot.running()


def test_slots_are_apart():
    """A child writes into its own part only, however long what it writes."""
    memory = mmap.mmap(-1, 3 * SLOT_SIZE)
    slots = [Slot(memory, number) for number in range(3)]
    for number, slot in enumerate(slots):
        slot.write(0, f"m{number}", "o:celery:1", 1.0)
        slot.write(1, "x" * MAX_ID_BYTES, "o" * 80 + ":celery:1", 1.0)
        slot.alive(float(number))

    slots[1].reset(9.0)

    assert [2, 0, 2] == [len(slot.running()) for slot in slots]
    assert ["m0", "m2"] == [slots[n].running()[0].id for n in (0, 2)]
    assert [0.0, 9.0, 2.0] == [slot.last_life_s for slot in slots]


class Watched:
    """A view of the page that says when it is read and when it was written."""

    def __init__(self, view: memoryview, reads: Callable[[], None], wrote: Callable[[], None]) -> None:
        self._view, self._reads, self._wrote = view, reads, wrote

    def __getitem__(self, key: Any) -> Any:
        self._reads()
        return self._view[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._view[key] = value
        self._wrote()


def watched(slot: Slot, reads: Callable[[], None] = lambda: None, wrote: Callable[[], None] = lambda: None) -> Slot:
    for name, view in vars(slot).items():
        setattr(slot, name, Watched(view, reads, wrote))
    return slot


def test_a_torn_cell_is_recognised():
    """Killed at any instant of writing, a child leaves the old claim, none, or the new one: never a mixture."""
    page = mmap.mmap(-1, SLOT_SIZE)
    write(Slot(page, 0), OLD)
    states = [bytes(page)]

    write(watched(Slot(page, 0), wrote=lambda: states.append(bytes(page))), NEW)

    seen = []
    for state in states:
        left = mmap.mmap(-1, SLOT_SIZE)
        left[:] = state
        seen.append(Slot(left, 0).running())
    assert [[OLD], *[[]] * (len(states) - 2), [NEW]] == seen
    assert 4 <= len(states)


def test_a_torn_cell_is_whole_for_the_next_child():
    """The slot is made fit for it, wherever the one before was killed."""
    page = mmap.mmap(-1, SLOT_SIZE)
    states: list[bytes] = []
    write(watched(Slot(page, 0), wrote=lambda: states.append(bytes(page))), OLD)

    for state in states:
        page[:] = state
        slot = Slot(page, 0)
        slot.reset(5.0)
        before = slot.running()
        write(slot, NEW)

        assert ([], [NEW]) == (before, slot.running())


@pytest.mark.parametrize("then", ["write", "clear and write"])
def test_a_cell_that_changes_while_it_is_read_is_no_mixture(then: str):
    """Whenever the child writes, its supervisor reads what stood there, what stands there now, or nothing."""
    seen = []
    for moment in range(100):
        page, left = mmap.mmap(-1, SLOT_SIZE), moment
        write(child := Slot(page, 0), OLD)

        def happens(child: Slot = child) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                if "clear" in then:
                    child.clear(0, 1.5)
                write(child, NEW)

        seen.append(watched(Slot(page, 0), reads=happens).running())
        if left >= 0:
            break

    assert [NEW] == seen[0]
    assert [OLD] == seen[-1]
    assert [] in seen
    assert all(found in ([OLD], [NEW], []) for found in seen)


def test_what_another_process_writes_is_never_read_half_written():
    """A child that writes all the time never looks deaf, nor as if it ran what it does not."""
    memory = mmap.mmap(-1, 2 * SLOT_SIZE)
    slot = Slot(memory, 1)
    slot.reset(time.monotonic())
    child = os.fork()
    if child == 0:
        while True:
            slot.write(0, "m" * 160, "claim", time.monotonic())
            slot.clear(0, time.monotonic())

    try:
        deadline_s = time.monotonic() + 0.5
        while (now_s := time.monotonic()) < deadline_s:
            assert now_s - slot.last_life_s < 10
            assert all(("m" * 160, "claim") == (one.id, one.claim) for one in slot.running())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_life_is_told(slot: Slot):
    """When the broker answered or something was settled; how much was settled; how often hands were emptied."""
    slot.alive(5.0)
    fetched = slot.last_life_s
    slot.write(0, "a", "o:celery:1", 6.0)
    slot.clear(0, 7.0)
    slot.empty_hand()
    slot.empty_hand()

    assert (5.0, 7.0, 1, 2) == (fetched, slot.last_life_s, slot.settled, slot.emptied)
    slot.reset(9.0)
    assert (9.0, 0, 0, []) == (slot.last_life_s, slot.settled, slot.emptied, slot.running())


OVERDUE = Overdue("bank.book", "ledger", 3, "DELAYED", True, 1_500, "HardTimeout: hard timeout after 2 s")


def test_a_deadline_stands_with_what_it_leads_to(slot: Slot):
    """From ``limit`` to ``unlimit``, or until a new child comes; texts of any length are cut to fit."""
    slot.limit(5.0, OVERDUE)
    seen = [(slot.deadline_s, slot.overdue)]
    slot.unlimit()
    seen.append((slot.deadline_s, slot.overdue))
    long = Overdue("é" * 9_999, "q", 1, "DEAD", False, 0, "\n" * 9_999)
    slot.limit(6.0, long)
    cut = slot.overdue
    slot.reset(7.0)
    seen.append((slot.deadline_s, slot.overdue))

    assert [(5.0, OVERDUE), (0.0, None), (0.0, None)] == seen
    assert cut == Overdue("é" * 100, "q", 1, "DEAD", False, 0, "\n" * 200)


def test_what_a_deadline_leads_to_stands_as_long_as_it_is_the_same(slot: Slot):
    """The next task's is written over it; that of the one after may be the first one's again; a new child has none."""
    other = Overdue("bank.send", "mail", 1, "DEAD", False, 0, "HardTimeout: hard timeout after 9 s")
    seen = []
    for deadline_s, overdue in ((5.0, OVERDUE), (6.0, OVERDUE), (7.0, other), (8.0, OVERDUE)):
        slot.limit(deadline_s, overdue)
        seen.append((slot.deadline_s, slot.overdue))
        slot.unlimit()
    slot.reset(9.0)
    slot.limit(10.0, OVERDUE)

    assert [(5.0, OVERDUE), (6.0, OVERDUE), (7.0, other), (8.0, OVERDUE)] == seen
    assert OVERDUE == slot.overdue


def test_a_deadline_is_of_its_slot_only():
    """However long what it leads to is told, the neighbours' pages are not written to."""
    memory = mmap.mmap(-1, 3 * SLOT_SIZE)
    slots = [Slot(memory, number) for number in range(3)]
    for slot in slots:
        write(slot, NEW)

    slots[1].limit(5.0, Overdue("é" * 999, "q" * 999, 2**40, "DELAYED", True, 2**40, "w" * 999))

    assert [[NEW]] * 3 == [slot.running() for slot in slots]
    assert [0.0, 5.0, 0.0] == [slot.deadline_s for slot in slots]


def test_a_page_is_shared_by_its_file():
    """The supervisor maps it, and so does each child that inherits the descriptor."""
    with tempfile.TemporaryFile() as page:
        page.truncate(2 * SLOT_SIZE)
        ours, theirs = (Slot(shared_memory(page.fileno(), 2), 1) for _ in range(2))

        write(theirs, NEW)

        assert [NEW] == ours.running()
