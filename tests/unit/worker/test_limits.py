"""What a supervisor holds children to."""

from __future__ import annotations

import mmap
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.backend import Delivery
from taskbridge.events import Event, Failed, Retried
from taskbridge.execution import ask
from taskbridge.policies.timeout import Overdue
from taskbridge.testing import a_message
from taskbridge.worker.limits import STACKS_S, Limits
from taskbridge.worker.overdue import fail
from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Running, Slot

OVERDUE = Overdue("tests.send", "mail", 2, "DEAD", False, 0, "failed 2 times: HardTimeout: hard timeout after 2 s")

Stood = tuple[Post, subprocess.Popen[bytes]]


@pytest.fixture
def stood() -> Iterator[Stood]:
    """A post and its child, which does nothing, and shows its stacks when asked."""
    script = "import faulthandler, signal, time; faulthandler.register(signal.SIGUSR1); print(1, flush=True); "
    command = [sys.executable, "-c", script + "time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        post = Post(0, Slot(mmap.mmap(-1, SLOT_SIZE), 0))
        post.ordered("owner", 0.0)
        post.forked(child.pid)
        yield post, child
        child.kill()


def test_a_child_over_its_deadline_is_ended(stood: Stood):
    """Not before; its stacks are asked for first, and it has a moment to write them down."""
    limits, (post, child) = Limits(), stood
    post.slot.write(0, "m", "o:celery:1", 1.0)
    post.slot.limit(10.0, OVERDUE)
    assert child.stderr

    told = []
    for now_s in (9.9, 10.0):
        limits.look(post, now_s)
        told.append(post.ended_for)
    stacks = child.stderr.readline()
    for now_s in (10.0 + STACKS_S / 2, 10.0 + STACKS_S * 2):
        limits.look(post, now_s)
        told.append(post.ended_for)

    assert b"most recent call first" in stacks
    assert ["", "", "", "time"] == told
    assert -signal.SIGKILL == child.wait(10)


def test_a_child_that_leaves_its_task_in_the_last_moment_lives(stood: Stood):
    """A later task has its own deadline, and its own warning."""
    limits, (post, child) = Limits(), stood
    post.slot.limit(10.0, OVERDUE)
    limits.look(post, 10.1)

    post.slot.unlimit()
    limits.look(post, 10.4)
    post.slot.limit(10.3, OVERDUE)
    limits.look(post, 10.5)

    assert ("", 10.3, None) == (post.ended_for, post.stacks_for_s, child.poll())


@pytest.mark.parametrize(
    ("state", "counted", "kind", "attempts"), [("DEAD", False, Failed, 1), ("DELAYED", True, Retried, 2)]
)
def test_what_was_said_is_settled(bridge: Bridge, state: str, counted: bool, kind: Any, attempts: int):
    """A failed attempt and no crash, with the reason; listeners are told, and it may be told again."""
    heard: list[Event] = []
    bridge.subscribe(heard.append)
    message = a_message()
    delivery = Delivery(tag="1", queue="mail", raw=b"")
    bridge.store.claims.begin(ask(delivery, message, "w:memory:1", bridge.runtime))
    overdue = Overdue("tests.send", "mail", 1, state, counted, 500, "HardTimeout: hard timeout after 2 s")
    running = Running(message.id, "w:memory:1", 0.0)

    answers = [fail(one, overdue, bridge, "w") for one in (running, running, Running("other", "w:memory:2", 0.0))]

    record = bridge.store.messages.look(message.id)
    assert record
    assert ([True, True, False], state) == (answers, record.state)
    assert (0, attempts, overdue.why) == (record.crashes, record.attempt, record.why)
    assert {kind} == {type(event) for event in heard}
    assert ("tests.send", 1, overdue.why) == (heard[0].task, heard[0].attempt, heard[0].why)  # type: ignore[attr-defined]
    if state == "DEAD":
        assert "the log of the worker w" in record.traceback
