"""Bridge: where tasks are declared, once each, by the name they have everywhere."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.config import BackendSettings
from taskbridge.definition import Definition
from taskbridge.errors import ArgumentError, ConfigError
from taskbridge.events import Event, Succeeded
from taskbridge.policies.retry import Backoff
from taskbridge.store.memory import MemoryStore
from taskbridge.store.redis import RedisStore
from taskbridge.testing.memory_backend import MemoryBackend

SOURCE = """
import sys
from taskbridge import Bridge, Settings

bridge = getattr(sys, "_bridge_under_test", None) or Bridge(Settings(backend="memory"))

@bridge.task
def book(account: int) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bridge: Bridge) -> Iterator[Path]:
    """A folder on the path whose modules declare their tasks on ``bridge``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "_bridge_under_test", bridge, raising=False)
    (tmp_path / "ledger.py").write_text(SOURCE)
    yield tmp_path
    sys.modules.pop("ledger", None)


def test_a_task_is_called_by_its_module_and_function(bridge: Bridge, folder: Path):
    """``module.function``, for producers and workers alike."""
    importlib.import_module("ledger")

    assert ["ledger.book"] == list(bridge.definitions)


def test_a_script_keeps_the_name_it_is_imported_by(bridge: Bridge, folder: Path):
    """A module that runs as a script sends what its workers know: by its file, and by its name under ``python -m``."""
    by_file = runpy.run_path(str(folder / "ledger.py"), run_name="__main__")
    by_name = runpy.run_module("ledger", run_name="__main__", alter_sys=True)

    assert ["ledger.book"] == list(bridge.definitions)
    assert "ledger.book" == by_file["book"].name == by_name["book"].name


def test_a_module_may_be_imported_again(bridge: Bridge, folder: Path):
    """The same lines of the same file are the same task, however often they run."""
    first = importlib.import_module("ledger").book

    again = importlib.reload(sys.modules["ledger"]).book

    assert first is not again
    assert again.definition is bridge.definitions["ledger.book"]


def test_two_tasks_of_one_name_are_refused(bridge: Bridge):
    """A worker could not know which is meant; the first one stays."""

    @bridge.task(name="book")
    def book() -> None: ...

    with pytest.raises(ConfigError, match="two tasks are called 'book'; give one another name="):

        @bridge.task(name="book")
        def other() -> None: ...

    assert book.definition is bridge.definitions["book"]


@pytest.mark.parametrize("name", ["two words", " ", "a\tb", 5])
def test_name_with_blanks_is_refused(bridge: Bridge, name: Any):
    """It could not be told from what a message waits for."""
    with pytest.raises(ConfigError, match="name: expected a task's name without blanks, got"):
        bridge.task(name=name)(lambda: None)


@pytest.mark.parametrize("name", ["", " ", None])
def test_task_elsewhere_has_a_name(bridge: Bridge, name: Any):
    """No worker could be found for a message without one."""
    with pytest.raises(ConfigError, match="name: expected the name by which other workers know a task, got"):
        bridge.external(name, queue="mail")


def test_unknown_option_is_refused(bridge: Bridge):
    """When declared, with the nearest; nothing is declared then."""
    with pytest.raises(ConfigError, match="a task has no option 'qeue'; did you mean 'queue'"):
        bridge.task(qeue="mail")(lambda: None)
    with pytest.raises(ConfigError, match="a task has no option 'expire'; did you mean 'expires'"):
        bridge.external("x", queue="mail", expire=3)

    assert {} == bridge.definitions


def test_a_task_retries_unless_it_says_otherwise(bridge: Bridge):
    """``retry`` is ``Backoff()`` where none is named, and none where it is ``None``."""

    @bridge.task
    def plain() -> None: ...

    @bridge.task(retry=None)
    def once() -> None: ...

    assert Backoff() == plain.options.retry
    assert once.options.retry is None


def test_who_listens_for_tasks_hears_all(bridge: Bridge):
    """Those declared already, and those to come."""
    heard: list[Definition] = []
    before = bridge.task(name="before")(lambda: None)

    bridge.on_declared(heard.append)
    after = bridge.task(name="after")(lambda: None)

    assert [before.definition, after.definition] == heard


def test_definitions_are_read_only(bridge: Bridge):
    """Tasks are declared, not put there."""
    with pytest.raises(TypeError):
        bridge.definitions["x"] = None  # type: ignore[index]


def test_external_task_is_only_sent(bridge: Bridge):
    """It has a name and a queue, takes any arguments JSON can carry, and does not run or count as declared here."""
    report = bridge.external("legacy.report", queue="reports", priority=9)

    report.enqueue(1, "x", deep={"a": [1]})

    (message,) = bridge.backend("memory").scan("reports", 10)
    assert ("legacy.report", 9, b'{"deep":{"a":[1]}}') == (message.task, message.priority, bytes(message.kwargs))
    assert {} == bridge.definitions
    with pytest.raises(ConfigError, match=r"legacy\.report runs in other workers only; enqueue it"):
        report(1)
    with pytest.raises(ArgumentError):
        report.enqueue(object())


def test_settings_are_read_on_first_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Declaring tasks reads nothing: a module may be imported before the environment is right."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKBRIDGE_BACKEND", "nonsense")
    bridge = Bridge()
    bridge.task(name="t")(lambda: None)

    monkeypatch.setenv("TASKBRIDGE_BACKEND", "memory")

    assert "memory" == bridge.settings.backend


def test_backends_are_made_once_by_name(bridge: Bridge):
    """Each by its name in the settings; another name of the same engine is another backend."""
    made = Bridge(Settings(backend="memory", backends={"old": BackendSettings(engine="memory")}))

    old, default = made.backend("old"), made.backend("memory")

    assert old is made.backend("old")
    assert ("old", "memory", "memory") == (old.name, default.name, old.engine)
    assert old is not default
    with pytest.raises(ConfigError, match="no backend is called 'ol'; did you mean 'old'"):
        made.backend("ol")


def test_threads_share_a_backend(monkeypatch: pytest.MonkeyPatch):
    """Two first uses at once leave one backend, not one with messages that nobody sees."""
    bridge, both, found = Bridge(Settings(backend="memory")), Barrier(2, timeout=10), []

    def slowly(engine: str, place: Any) -> MemoryBackend:
        both.wait()
        return MemoryBackend(place)

    monkeypatch.setattr("taskbridge.bridge.load", slowly)
    threads = [Thread(target=lambda: found.append(bridge.backend("memory"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0] is found[1] is bridge.backend("memory")


def test_store_is_where_the_settings_say():
    """In memory for the memory backend, on Redis otherwise; nothing is asked of it until it is used."""
    assert isinstance(Bridge(Settings(backend="memory")).store, MemoryStore)
    assert isinstance(Bridge(Settings(store_url="redis://nowhere.invalid:1")).store, RedisStore)


def test_producers_agree_with_the_store():
    """A producer whose clock is an hour wrong stamps by the store's."""
    bridge = Bridge(Settings(backend="memory"))
    store = MemoryStore(bridge.clock)
    store.now_ms = lambda: 1_000_000  # type: ignore[method-assign]
    bridge.__dict__["store"] = store

    bridge.task(name="t", queue="q")(lambda: None).enqueue()

    (message,) = bridge.backend("memory").scan("q", 1)
    assert 1_000_000 <= message.enqueued_at_ms < 1_010_000


def test_subscribers_hear_events(bridge: Bridge):
    """``subscribe`` is a decorator; what runs on this bridge is told to it."""
    heard: list[Event] = []

    @bridge.subscribe
    def listener(event: Event) -> None:
        heard.append(event)

    bridge.runtime.events.emit(Succeeded(id="1", task="t", queue="q"))

    assert bridge.subscribers.flush(20)
    assert ["1"] == [event.id for event in heard]


def test_close_closes_what_was_made():
    """Backends and store; a bridge that made none has none to close."""
    bridge, closed = Bridge(Settings(backend="memory")), []
    Bridge(Settings(backend="memory")).close()
    bridge.backend("memory").close = lambda: closed.append("backend")  # type: ignore[method-assign]
    bridge.store.close = lambda: closed.append("store")  # type: ignore[method-assign]

    bridge.close()

    assert ["backend", "store"] == closed
