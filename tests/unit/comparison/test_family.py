"""What a process and all that it has started use, by the kernel's word."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from taskbridge.comparison.family import CAN_LOOK, LOOK_EVERY_S, Meter, usage
from tests.servers import until

pytestmark = pytest.mark.skipif(not CAN_LOOK, reason="only Linux tells what other processes use")

#: One that holds 40 MiB and starts another, which burns half a second of processor and ends; then both wait.
PROGRAM = """
import os, sys, time
held = bytearray(os.urandom(1024) * 40 * 1024)
if os.fork() == 0:
    while time.process_time() < 0.5:
        pass
    sys.exit()
if os.fork() == 0:
    sys.stdin.read()
    sys.exit()
os.wait()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    yield process.pid
    process.stdin.close()
    process.stdout.close()
    process.wait()


def test_descendants_count_also_when_they_have_ended(parent: int):
    """What a child has used before it was replaced is not lost."""
    assert 0.45 < usage(parent).cpu_s < 3


def test_what_processes_share_counts_once(parent: int):
    """Two processes hold the same 40 MiB."""
    seen = usage(parent)

    assert 2 == seen.processes
    assert 40 < seen.memory_mb < 75


def test_a_process_that_is_gone_uses_nothing():
    """And is no error: it may go at any instant."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    assert (0, 0, 0) == (usage(gone.pid).cpu_s, usage(gone.pid).memory_mb, usage(gone.pid).processes)


def test_a_meter_counts_from_its_start():
    """The peak stays, and growth is from first to last; what was used before is not counted."""
    begin, hold, free = "import sys; read = sys.stdin.readline; read()", "x = bytearray(b'x') * 2**25", "x = 0"
    program = f"{begin}; {hold}; print(flush=True); read(); {free}; print(flush=True); read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        until(lambda: usage(process.pid).memory_mb > 2, 20, "it has started")
        meter = Meter(process.pid, time.monotonic)
        for _ in range(2):
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            meter.look(at_once=True)
        process.stdin.close()

    assert meter.peak_mb - meter.first.memory_mb > 30
    assert meter.grown_mb is not None
    assert meter.grown_mb < 16
    assert meter.cpu_s is not None
    assert meter.cpu_s < 2


def test_a_meter_looks_now_and_then():
    """Each look costs the kernel a walk over all pages."""
    now_s = 100.0
    meter = Meter(1 << 22, lambda: now_s)  # nobody has this number
    looks = []
    for _ in range(100):
        meter.look()
        looks.append(meter._due_s)
        now_s += LOOK_EVERY_S / 10

    assert 8 <= len(set(looks)) <= 12
