"""What processes have seen: one line an event, a file of each process, read as far as it is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from taskbridge.comparison.records import AGAIN, BEGUN, DEAD, DONE, DROPPED, RETRIED, SENT, VARIABLE, Reader, Record
from taskbridge.errors import ConfigError
from taskbridge.events import Dropped, Event, Failed, Received, Retried, Sent, Started, Succeeded, Waiting
from taskbridge.testing import FakeClock

ABOUT = {"id": "M", "task": "app.send", "queue": "emails"}


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.fixture
def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bridge:
    """One that is observed as a worker of a comparison is: by the name in the settings."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    made = Bridge(Settings(backend="memory", observers=["comparison"]))
    made.clock = FakeClock()
    made.observe()
    return made


@pytest.mark.parametrize(
    ("event", "kind", "span_ms"),
    [
        (Sent(**ABOUT, delay_ms=50), SENT, 50),
        (Started(**ABOUT, waited_ms=12), BEGUN, 12),
        (Retried(**ABOUT, ran_ms=1.5), RETRIED, 1.5),
        (Retried(**ABOUT, ran_ms=1.5, counted=False), AGAIN, 1.5),
        (Succeeded(**ABOUT, ran_ms=0.25), DONE, 0.25),
        (Failed(**ABOUT, ran_ms=3), DEAD, 3),
        (Dropped(**ABOUT, how="expired"), DROPPED, 0),
    ],
)
def test_what_becomes_of_a_message_is_recorded(bridge: Bridge, reader: Reader, event: Event, kind: str, span_ms: float):
    """What it was, when, and how long it took; the instant is the bridge's clock."""
    bridge.events.emit(event)

    at_us = int(bridge.clock.monotonic_s() * 1e6)
    assert [Record(kind, "M", "app.send", "emails", at_us, span_ms)] == reader.news()


def test_what_says_nothing_of_it_is_not(bridge: Bridge, reader: Reader):
    """That a copy came, or waits for a lock."""
    bridge.events.emit(Received(**ABOUT))
    bridge.events.emit(Waiting(**ABOUT, how="locked"))

    assert [] == reader.news()


def test_each_process_has_a_file_of_its_own(bridge: Bridge, reader: Reader, tmp_path: Path):
    """Also one that was forked after the first event."""
    bridge.events.emit(Sent(**ABOUT))
    pid = os.fork()
    if not pid:
        bridge.events.emit(Succeeded(**ABOUT))
        os._exit(0)
    os.waitpid(pid, 0)

    assert {str(os.getpid()), str(pid)} == {path.name for path in (tmp_path / "records").iterdir()}
    assert {SENT, DONE} == {record.kind for record in reader.news()}


def test_only_what_is_new_and_whole_is_read(bridge: Bridge, reader: Reader, tmp_path: Path):
    """Half a line waits for its other half."""
    bridge.events.emit(Sent(**ABOUT))
    (file,) = (tmp_path / "records").iterdir()
    whole = file.read_bytes()
    assert 1 == len(reader.news())

    with file.open("ab") as more:
        more.write(whole[:10])
        more.flush()
        assert [] == reader.news()
        more.write(whole[10:])

    assert ["M"] == [record.id for record in reader.news()]
    assert [] == reader.news()


def test_nobody_else_can_use_it(monkeypatch: pytest.MonkeyPatch):
    """A worker that is told to, and not where to write, is refused with what to do."""
    monkeypatch.delenv(VARIABLE, raising=False)

    with pytest.raises(ConfigError, match="comparison belongs to `taskbridge compare`"):
        Bridge(Settings(backend="memory", observers=["comparison"])).observe()
