"""The posts of a worker: who is wanted, who goes first, and which slot serves whom."""

from __future__ import annotations

import mmap

import pytest

from taskbridge.orders import EMPTY, Orders, Size
from taskbridge.worker.options import Group
from taskbridge.worker.posts import Post
from taskbridge.worker.roster import Roster
from taskbridge.worker.slots import SLOT_SIZE, Slot

MOST = 8
NAMES = ["host.1.ab"]


@pytest.fixture
def roster() -> Roster:
    """One process of high, three of low."""
    memory = mmap.mmap(-1, MOST * SLOT_SIZE)
    groups = [Group(name="high", processes=1), Group(name="low", processes=3)]
    return Roster(groups, lambda number: Slot(memory, number), MOST)


def asked(**sizes: int) -> Orders:
    orders = EMPTY
    for group, processes in sizes.items():
        orders = orders.sized(Size(group=group, processes=processes))
    return orders


def ordered(post: Post) -> None:
    """A child is on its way; it has no pid that could be signalled."""
    post.ordered(f"host.1.ab.{post.number}.1", 1.0)


def wanted(roster: Roster) -> dict[int, str]:
    return {post.number: post.group for post in roster.posts if post.wanted}


def test_a_worker_begins_as_it_was_started(roster: Roster):
    """The posts of each group stand together, each with a slot of its own."""
    assert {0: "high", 1: "low", 2: "low", 3: "low"} == wanted(roster)
    assert {"high": 1, "low": 3} == roster.wanted


def test_a_group_grows_at_new_posts(roster: Roster):
    """What was there stays where it was."""
    roster.obey(asked(high=3), NAMES, 1.0)

    assert {0: "high", 1: "low", 2: "low", 3: "low", 4: "high", 5: "high"} == wanted(roster)
    assert {"high": 3, "low": 3} == roster.wanted


def test_who_has_nothing_to_do_goes_first(roster: Roster):
    """Vacant posts before children, children at rest before those that run something, the newest of them first."""
    ordered(roster.posts[1])
    ordered(roster.posts[2])
    roster.posts[2].slot.write(0, "m", "o:celery:1", 1.0)

    gone = []
    for processes in (2, 1, 0):
        before = wanted(roster)
        roster.obey(asked(low=processes), NAMES, 1.0)
        gone += [number for number in before if number not in wanted(roster)]

    assert [3, 1, 2] == gone


def test_a_child_that_finishes_keeps_its_post(roster: Roster):
    """Asked for again before it has gone, it is its group's post; another group takes a vacant one."""
    for post in roster.posts:
        ordered(post)
    roster.obey(asked(low=1), NAMES, 1.0)
    roster.posts[3].vacated(2.0, too_soon_s=0.0, patience_s=1.0)

    roster.obey(asked(low=1, high=2), NAMES, 2.0)
    roster.obey(asked(low=2, high=2), NAMES, 2.0)

    assert {0: "high", 1: "low", 2: "low", 3: "high"} == wanted(roster)
    assert 4 == len(roster.posts)


def test_what_is_taken_back_is_as_it_was_started(roster: Roster):
    """Also from nothing."""
    roster.obey(asked(high=0, low=5), NAMES, 1.0)
    assert {"high": 0, "low": 5} == roster.wanted

    roster.obey(EMPTY, NAMES, 2.0)

    assert {"high": 1, "low": 3} == roster.wanted
    assert roster.wanted == {name: list(wanted(roster).values()).count(name) for name in ("high", "low")}


def test_there_are_only_so_many_slots(roster: Roster, caplog: pytest.LogCaptureFixture):
    """More are not made, and the log says so; what there is goes to whoever asks next."""
    roster.obey(asked(high=20), NAMES, 1.0)

    assert {"high": 5, "low": 3} == roster.wanted
    assert MOST == len(roster.posts)
    assert "the group high cannot have 20 processes: a worker has 8" in caplog.text

    roster.obey(asked(high=0, low=8), NAMES, 2.0)

    assert {"high": 0, "low": 8} == roster.wanted


def test_a_post_that_is_not_wanted_asks_for_no_child(roster: Roster):
    """And says why its child went."""
    post = roster.posts[3]
    ordered(post)

    post.dismiss(1.0)

    assert "scaled" == post.went_for(0)
    post.vacated(2.0, too_soon_s=0.0, patience_s=1.0)
    assert not post.wants_child(100.0)
