"""What becomes of a claim whose child is gone: by why it is gone."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import msgspec
import pytest

from taskbridge.backend import Delivery
from taskbridge.errors import BrokerUnavailable
from taskbridge.events import Event, Failed
from taskbridge.execution import ask
from taskbridge.policies.timeout import Overdue
from taskbridge.testing import a_message
from taskbridge.worker.keep import Keep
from taskbridge.worker.options import Ready, WorkerOptions
from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Slot

OVERDUE = Overdue("tests.send", "mail", 1, "DEAD", False, 0, "failed 1 times: HardTimeout: hard timeout after 2 s")

CLAIM = "child:memory:1"


@pytest.fixture
def post() -> Post:
    return Post(0, Slot(mmap.mmap(-1, SLOT_SIZE), 0), "")


@pytest.fixture
def keep(post: Post) -> Iterator[Keep]:
    """On a store and an engine in memory; its threads do not run."""
    settings = msgspec.Raw(msgspec.json.encode({"backend": "memory"}))
    hear, strike = os.pipe()
    kept = Keep(
        WorkerOptions(modules=["m"]),
        Ready(tasks={}, queues={"": ["mail"]}, settings=settings),
        lambda: [post],
        {"": strike},
    )
    yield kept
    kept.bridge.close()
    for end in (hear, strike):
        os.close(end)


@pytest.mark.parametrize(
    ("ended_for", "draining", "in_the_task", "expected"),
    [
        ("", False, True, ("READY", 1, "")),
        ("memory", False, True, ("READY", 1, "")),
        ("", True, True, ("READY", 0, "")),
        ("time", False, True, ("DEAD", 0, OVERDUE.why)),
        ("time", True, True, ("DEAD", 0, OVERDUE.why)),
        ("time", False, False, ("READY", 0, "")),
    ],
    ids=["died", "memory", "drained", "overdue", "overdue in a drain", "left just in time"],
)
def test_a_claim_is_settled_by_why_its_child_is_gone(
    keep: Keep, post: Post, ended_for: str, draining: bool, in_the_task: bool, expected: tuple[str, int, str]
):
    """A crash where nobody asked for its end, a failed attempt over its time; else neither."""
    message, claims = a_message(), keep.bridge.store.claims
    claims.begin(ask(Delivery(tag="1", queue="mail", raw=b""), message, CLAIM, keep.bridge.runtime))
    post.slot.write(0, message.id, CLAIM, 1.0)
    if in_the_task:
        post.slot.limit(2.0, OVERDUE)
    post.ended_for, post.draining = ended_for, draining

    keep.settle(post)
    post.slot.reset(9.0)
    keep._errands.get_nowait()()

    record = keep.bridge.store.messages.look(message.id)
    assert record
    assert expected == (record.state, record.crashes, record.why)


def test_what_could_not_be_finished_is_told_once(keep: Keep, post: Post, monkeypatch: pytest.MonkeyPatch):
    """A broker that is away has the errand run again: the store and listeners know of the failure already."""
    message, told = a_message(), list[Event]()
    keep.bridge.store.claims.begin(ask(Delivery(tag="1", queue="mail", raw=b""), message, CLAIM, keep.bridge.runtime))
    post.slot.write(0, message.id, CLAIM, 1.0)
    post.slot.limit(2.0, OVERDUE)
    post.ended_for = "time"
    keep.bridge.events.subscribe(told.append, Failed)
    away, reclaimed = [BrokerUnavailable("away"), BrokerUnavailable("away")], list[object]()

    def reclaim(owner: str, **kept: object) -> int:
        if away:
            raise away.pop()
        reclaimed.append(kept)
        return 0

    for keeper in keep._keepers.values():
        monkeypatch.setattr(keeper, "reclaim", reclaim)
    keep.settle(post)
    errand = keep._errands.get_nowait()
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            errand()
    errand()

    assert [message.id] == [event.id for event in told]
    assert [{"done": ["1"]}] == reclaimed
