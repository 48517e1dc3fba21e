"""A folder of metrics, what it says, and processes that write into it: forks, and Pythons of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from taskbridge.observe.metrics.seats import FOLDER

ROOT = Path(__file__).parents[4]

#: Counts so many messages as sent, in a process that has nothing but the observer.
COUNT = """
import sys
from taskbridge import Bridge, Settings
from taskbridge.events import Sent
from taskbridge.observe.metrics import observe
bridge = Bridge(Settings(backend="memory"))
observe(bridge)
def count(times, task="app.send"):
    for _ in range(times):
        bridge.events.emit(Sent(id="m", task=task, queue="mail", backend="memory"))
"""


def said(folder: Path) -> Callable[..., float | None]:
    """Return what looks a sample up by name and labels, as prometheus_client's own collector reads the folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return lambda name, **labels: registry.get_sample_value(name, labels)


def sent(folder: Path, task: str = "app.send") -> float | None:
    """How many were sent, by the folder."""
    return said(folder)("taskbridge_sent_total", backend="memory", broker="memory", queue="mail", task=task)


def a_python(folder: Path | None, code: str, *, first: str = "") -> subprocess.Popen[str]:
    """Start one that runs ``COUNT``, then this code; ``first`` before it observes."""
    environment = {name: value for name, value in os.environ.items() if name != FOLDER}
    environment |= {FOLDER: str(folder)} if folder else {}
    return subprocess.Popen(
        [sys.executable, "-c", COUNT.replace("observe(bridge)\n", f"{first}\nobserve(bridge)\n") + code],
        env=environment | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'backends'}"},
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ran(process: subprocess.Popen[str]) -> str:
    """Wait until it has ended well; returns what it wrote."""
    out, errors = process.communicate(timeout=60)
    assert 0 == process.returncode, errors
    return out


def files(folder: Path) -> list[str]:
    """The files of numbers."""
    return sorted(path.name for path in folder.glob("*.db"))
