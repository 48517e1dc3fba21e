"""What the processes of a run have seen: an observer that writes one line an event, into a file of each process.

Nothing is asked of the store and nothing is kept in memory: a process that is killed loses nothing it has seen.
Instants are microseconds of the machine's monotonic clock, the same in all its processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..clock import Clock
from ..errors import ConfigError
from ..events import Dropped, Event, Failed, Retried, Sent, Started, Succeeded

if TYPE_CHECKING:
    from ..bridge import Bridge

#: The observer's name, and where it is told the folder of the run. A workload may keep files of its own there, too.
NAME = "comparison"
VARIABLE = "COMPARISON_FOLDER"

#: The folder of the records inside the run's.
RECORDS = "records"

#: What a record is of.
SENT, BEGUN, RETRIED, AGAIN, DONE, DEAD, DROPPED = "SBRADFX"


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One event. ``span_ms`` is a delay (sent), the time in queue (begun), or how long the attempt ran."""

    kind: str
    id: str
    task: str
    queue: str
    at_us: int
    span_ms: float = 0.0


#: What is recorded of which event.
_TOLD: dict[type[Event], Callable[..., tuple[str, float]]] = {
    Sent: lambda event: (SENT, event.delay_ms),
    Started: lambda event: (BEGUN, event.waited_ms),
    Retried: lambda event: (RETRIED if event.counted else AGAIN, event.ran_ms),
    Succeeded: lambda event: (DONE, event.ran_ms),
    Failed: lambda event: (DEAD, event.ran_ms),
    Dropped: lambda event: (DROPPED, 0.0),
}


def observe(bridge: Bridge) -> None:
    """Record what the bridge does.

    Raises:
        ConfigError: nobody says where.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise ConfigError(
            f"observers: {NAME} belongs to `taskbridge compare`, which starts workers with it: leave it out"
        )
    bridge.events.subscribe(Recorder(Path(folder) / RECORDS, bridge.clock))


class Recorder:
    """Appends to one file per process, opened with its first event."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        self._process = 0
        self._file = -1

    def __call__(self, event: Event) -> None:
        """Write one line; a short write to a file that is opened for appending is never torn."""
        told = _TOLD.get(type(event))
        if told is None:
            return
        if self._process != os.getpid():
            self._process = os.getpid()
            path = self._folder / str(self._process)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        kind, span_ms = told(event)
        at_us = int(self._clock.monotonic_s() * 1e6)
        record = Record(kind, event.id, event.task, event.queue, at_us, span_ms)
        os.write(self._file, self._encode(record) + b"\n")


class Reader:
    """Reads what has been written since it was last asked.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / RECORDS
        self._folder.mkdir()
        self._offsets: dict[Path, int] = {}
        self._decoder = msgspec.json.Decoder(Record)

    def news(self) -> list[Record]:
        """Return the new records, in no order between processes; half a line waits for its other half."""
        found: list[Record] = []
        for path in self._folder.iterdir():
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                lines = file.read()
            lines = lines[: lines.rfind(b"\n") + 1]
            self._offsets[path] = self._offsets.get(path, 0) + len(lines)
            found += self._decoder.decode_lines(lines)
        return found
