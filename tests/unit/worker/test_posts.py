"""A post: who stands there, and when to ask for another."""

from __future__ import annotations

import mmap
import signal
import subprocess
import sys

import pytest

from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Slot

TOO_SOON_S = 2.0
PATIENCE_S = 10.0


@pytest.fixture
def post() -> Post:
    return Post(0, Slot(mmap.mmap(-1, SLOT_SIZE), 0))


def stand(post: Post, since_s: float, until_s: float) -> float:
    """Have a child come and go; returns how long the post waits before it wants another."""
    post.ordered("owner", since_s)
    post.forked(123)
    post.vacated(until_s, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)
    return next(n / 100 for n in range(100_000) if post.wants_child(until_s + n / 100))


def test_a_child_is_wanted_once(post: Post):
    """An empty post asks; while one is asked for or stands there it does not, and when it is gone it asks again."""
    asked = [post.wants_child(1.0)]
    post.ordered("host.1.ab.0.1", 1.0)
    asked.append(post.wants_child(1.0))
    post.forked(123)
    asked.append(post.wants_child(100.0))
    post.vacated(100.0, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)
    asked.append(post.wants_child(100.0))

    assert [True, False, False, True] == asked
    assert (0, 1, "host.1.ab.0.1") == (post.pid, post.boots, post.owner)


def test_a_new_child_finds_a_clean_slot(post: Post):
    """What the one before ran is not its."""
    post.slot.write(0, "m", "o:celery:1", 1.0)
    post.hand_emptied = post.draining = True

    post.ordered("another", 5.0)

    assert ([], 5.0) == (post.slot.running(), post.slot.last_life_s)
    assert (False, False) == (post.hand_emptied, post.draining)


def test_children_that_end_at_once_are_waited_for(post: Post):
    """Two are replaced at once, for a message may have killed them; after that each wait is longer, up to the cap."""
    waits = [stand(post, since_s, since_s + 0.1) for since_s in range(0, 80, 20)]

    assert [0, 0] == waits[:2]
    assert waits == sorted(waits)
    assert 0 < waits[2] < waits[3] <= PATIENCE_S


def test_waiting_is_forgotten_when_one_has_lived(post: Post):
    """One that stood long enough, or settled something, is no sign of trouble."""
    for since_s in range(0, 100, 20):
        stand(post, since_s, since_s + 0.1)

    assert 0 == stand(post, 200.0, 200.0 + TOO_SOON_S)

    for since_s in range(300, 400, 20):
        stand(post, since_s, since_s + 0.1)
    post.ordered("owner", 500.0)
    post.slot.clear(0, 500.0)
    post.vacated(500.1, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)
    assert post.wants_child(500.1)


def test_new_code_is_tried_at_once(post: Post):
    """However long the old code is waited for."""
    for since_s in range(0, 100, 20):
        stand(post, since_s, since_s + 0.1)

    post.forgive()

    assert post.wants_child(100.0)
    assert 0 == stand(post, 100.0, 100.1)


def test_a_child_that_makes_room_is_no_trouble(post: Post):
    """However soon after it came it was told to."""
    for since_s in range(0, 100, 20):
        post.ordered("owner", since_s)
        post.retire(since_s + 0.1)
        post.vacated(since_s + 0.2, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)

        assert post.wants_child(since_s + 0.2)


def test_a_post_changes_hands_for_a_while(post: Post):
    """From the order until the child begins, and from when it is told to leave; never longer than is waited for."""
    seen = [post.changes_hands(0.0, 1.0)]
    post.ordered("owner", 0.0)
    seen += [post.changes_hands(0.9, 1.0), post.changes_hands(1.1, 1.0)]
    post.slot.alive(0.5)
    seen.append(post.changes_hands(0.6, 1.0))
    post.retire(5.0)
    seen += [post.changes_hands(5.9, 1.0), post.changes_hands(6.1, 1.0)]

    assert [False, True, False, False, True, False] == seen
    assert (True, 2.0) == (post.retiring, post.retiring_for_s(7.0))
    post.vacated(8.0, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)
    assert (False, 0.0) == (post.retiring, post.retiring_for_s(9.0))


@pytest.mark.parametrize(("runs", "waits"), [(True, False), (False, True)])
def test_a_child_that_we_ended_for_its_task_is_no_trouble(post: Post, runs: bool, waits: bool):
    """However often, it is replaced at once; one that was over its memory without a task is waited for."""
    for since_s in range(0, 100, 20):
        post.ordered("owner", since_s)
        if runs:
            post.slot.write(0, "m", "o:celery:1", since_s)
        post.end_for("memory")
        post.vacated(since_s + 0.1, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)

    assert waits is not post.wants_child(80.1)
    post.ordered("owner", 200.0)
    assert "" == post.ended_for


def test_trouble_that_lasts_for_days_is_waited_for(post: Post):
    """However often children have ended at once, the wait is the cap: the supervisor goes on."""
    post._early_ends = 10**6

    assert PATIENCE_S == stand(post, 0.0, 0.1)


@pytest.mark.parametrize(("end", "number"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_it_ends_its_child(post: Post, end: str, number: signal.Signals):
    """Asked, or at once; one that is gone already, or none at all, is no error."""
    getattr(post, end)()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        post.forked(child.pid)

        getattr(post, end)()

        assert -number == child.wait(20)
    getattr(post, end)()


@pytest.mark.parametrize(
    ("ended_for", "draining", "retiring", "leaves", "code", "expected"),
    [
        ("time", False, False, "", -9, "hard_timeout"),
        ("memory", False, False, "", -9, "hard_memory"),
        ("deaf", False, False, "", -9, "deaf"),
        ("", True, True, "", -9, "grace"),
        ("", False, True, "", 0, "reload"),
        ("", False, False, "max_tasks", 0, "max_tasks"),
        ("", False, False, "max_memory", 0, "max_memory"),
        ("", False, False, "max_tasks", -11, "crash"),
        ("", False, False, "", 1, "crash"),
        ("", False, False, "", 0, "ended"),
    ],
)
def test_why_a_child_has_gone_is_one_word(
    post: Post, ended_for: str, draining: bool, retiring: bool, leaves: str, code: int, expected: str
):
    """What we did to it comes first, then what it said of itself; it cannot say that it crashed."""
    post.ordered("owner", 1.0)
    post.ended_for, post.draining = ended_for, draining
    if retiring:
        post.retire(2.0)
    post.slot.leave(leaves)

    assert expected == post.went_for(code)


def test_a_child_is_busy_but_while_it_rests(post: Post):
    """From when it was asked for; a rest that goes on counts; where nobody stands nobody is busy."""
    post.ordered("owner", 100.0)
    post.forked(123)
    busy = [post.busy_s(102.0)]
    post.slot.rest(103.0)
    busy.append(post.busy_s(110.0))
    post.slot.rested(110.0)
    busy.append(post.busy_s(111.0))
    post.vacated(112.0, too_soon_s=TOO_SOON_S, patience_s=PATIENCE_S)
    busy.append(post.busy_s(112.0))

    assert [2.0, 3.0, 4.0, 0.0] == busy
