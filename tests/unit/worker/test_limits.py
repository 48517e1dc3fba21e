"""What a supervisor holds children to, and how long a child serves."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.backend import Delivery
from taskbridge.errors import NotSupported
from taskbridge.events import Event, Failed, Retried
from taskbridge.execution import ask
from taskbridge.policies.timeout import Overdue
from taskbridge.testing import a_message
from taskbridge.worker import memory
from taskbridge.worker.limits import STACKS_S, Limits
from taskbridge.worker.memory import own_memory, resident_mb
from taskbridge.worker.overdue import fail
from taskbridge.worker.posts import Post
from taskbridge.worker.slots import SLOT_SIZE, Running, Slot
from taskbridge.worker.tenure import Tenure

from .stages import a_stage, a_task

OVERDUE = Overdue("tests.send", "mail", 2, "DEAD", False, 0, "failed 2 times: HardTimeout: hard timeout after 2 s")

HOLDS = "import sys; held = bytearray(int(sys.argv[1])); sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"


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
    limits, (post, child) = Limits(0), stood
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
    assert -signal.SIGKILL == child.wait(20)


def test_a_child_that_leaves_its_task_in_the_last_moment_lives(stood: Stood):
    """A later task has its own deadline, and its own warning."""
    limits, (post, child) = Limits(0), stood
    post.slot.limit(10.0, OVERDUE)
    limits.look(post, 10.1)

    post.slot.unlimit()
    limits.look(post, 10.4)
    post.slot.limit(10.3, OVERDUE)
    limits.look(post, 10.5)

    assert ("", 10.3, None) == (post.ended_for, post.stacks_for_s, child.poll())


def test_a_child_over_the_hard_cap_is_ended(stood: Stood):
    """Whatever it does; one below it is not."""
    post, child = stood

    Limits(10_000).look(post, 1.0)
    lives = child.poll() is None
    Limits(1).look(post, 2.0)

    assert lives
    assert "memory" == post.ended_for
    assert -signal.SIGKILL == child.wait(20)


def test_memory_is_what_is_resident():
    """Of another process, and of this one; one that is gone holds nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(100 * memory.MIB)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.read(1)
        held = resident_mb(child.pid)
        child.communicate()
        gone = resident_mb(child.pid)
    measure = own_memory()
    before = measure()
    held_here = bytearray(100 * memory.MIB)

    assert 100 <= held <= 200
    assert 0.0 == gone
    assert 90 <= measure() - before <= 200
    assert held_here
    assert abs(measure() - resident_mb(os.getpid())) < 20


def test_a_system_that_does_not_tell_has_the_peak(monkeypatch: pytest.MonkeyPatch):
    """Of this process; a hard cap, which needs to look at others, is refused there."""
    monkeypatch.setattr(memory, "CAN_LOOK", False)
    monkeypatch.setattr("taskbridge.worker.limits.CAN_LOOK", False)

    assert own_memory()() > 10
    with pytest.raises(NotSupported, match="hard_memory_mb needs /proc"):
        Limits(100)
    Limits(0)


def test_a_child_goes_after_its_tasks_or_over_its_memory(caplog: pytest.LogCaptureFixture):
    """After a task, with the reason; without limits it stays, and one that is over from the start is warned of."""
    sizes = iter([100.0, 149.0, 151.0])
    by_tasks = Tenure(3, 0, lambda: 0.0)
    by_memory = Tenure(0, 150, lambda: next(sizes))
    for_ever = Tenure(0, 0, lambda: 10**9)

    assert [None, None, ("max_tasks", "it has run 3 tasks, as max_tasks says")] == [by_tasks.ran() for _ in range(3)]
    over = ("max_memory", "it holds 151 MiB after 2 tasks, over max_memory_mb=150")
    assert [None, over] == [by_memory.ran() for _ in range(2)]
    assert {None} == {for_ever.ran() for _ in range(100)}
    assert "" == caplog.text
    Tenure(0, 150, lambda: 200.0)
    assert "a child holds 200 MiB before its first task: over max_memory_mb=150" in caplog.text


def test_a_child_that_goes_settles_and_gives_back():
    """What it ran is told, what it has in hand goes back, and it counts tasks that ran, not copies."""
    stage = a_stage()
    ran = a_task(stage)
    first, *rest = stage.publish(6)
    stage.serve()
    stage.backend.publish([first, *(one.copy(id=f"new-{n}") for n, one in enumerate(rest))])
    loop = stage.a_loop(*stage.loop._sources, tenure=Tenure(2, 0, lambda: 0.0))

    loop.run()

    assert (8, 6 - 1 - 2) == (len(ran), stage.backend.depth("mail"))
    assert [] == stage.slot.running()
    assert "max_tasks" == stage.slot.leaves


@pytest.mark.parametrize(
    ("state", "counted", "kind", "attempts"), [("DEAD", False, Failed, 1), ("DELAYED", True, Retried, 2)]
)
def test_what_was_said_is_settled(bridge: Bridge, state: str, counted: bool, kind: Any, attempts: int):
    """A failed attempt and no crash, with the reason; listeners are told, and it may be told again."""
    heard: list[Event] = []
    bridge.events.subscribe(heard.append)
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
    assert (["HardTimeout"] * 2 if kind is Failed else []) == [
        type(event.error).__name__ for event in heard if isinstance(event, Failed)
    ]
    assert ("tests.send", 1, overdue.why) == (heard[0].task, heard[0].attempt, heard[0].why)  # type: ignore[attr-defined]
    if state == "DEAD":
        assert "the log of the worker w" in record.traceback
