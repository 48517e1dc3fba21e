"""Finding a backend by its engine's name."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from taskbridge.backend import Place, load, runner_of
from taskbridge.errors import BackendNotInstalled, ConfigError, NotSupported
from taskbridge.testing.memory_backend import MemoryBackend

PLACE = Place(name="main", broker_url="redis://:hush@localhost", namespace="bank", queue_prefix="p-")


class EntryPoint:
    """As another package would have it."""

    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self._loaded = loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    found: list[EntryPoint] = []
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: found if group == "taskbridge.backends" else []
    )
    return found


def test_a_backend_is_found_by_entry_point(installed: list[EntryPoint]):
    """Ours as anyone's: it is constructed with its place."""
    installed.append(EntryPoint("own", lambda place: ("own", place)))

    assert ("own", PLACE) == load("own", PLACE)


def test_our_engines_are_found():
    """What the package installs: celery, dramatiq and memory."""
    assert isinstance(load("memory", PLACE), MemoryBackend)
    assert {"celery", "dramatiq"} == {load(engine, PLACE).engine for engine in ("celery", "dramatiq")}


def test_unknown_engine_is_refused(installed: list[EntryPoint]):
    """With the nearest that is installed."""
    installed.append(EntryPoint("celery", None))

    with pytest.raises(ConfigError, match="no backend is called 'celry'; did you mean 'celery'"):
        load("celry", PLACE)


def test_missing_package_names_its_extra(installed: list[EntryPoint]):
    """What to type to have it."""
    installed.append(EntryPoint("celery", ModuleNotFoundError("No module named 'kombu'", name="kombu")))

    with pytest.raises(
        BackendNotInstalled, match=r"'celery' needs the package 'kombu': pip install 'taskbridge\[celery\]"
    ):
        load("celery", PLACE)


@pytest.mark.parametrize(
    ("raised", "refused", "why"),
    [
        (ModuleNotFoundError("x", name="dramatiq"), BackendNotInstalled, r"pip install 'taskbridge\[memory\]'"),
        (ValueError("queue names"), NotSupported, "the engine 'memory' does not take these tasks: queue names"),
    ],
)
def test_engine_that_cannot_run_the_tasks_is_refused(raised: Exception, refused: Any, why: str):
    """At the start, not when the first message comes."""
    backend = MemoryBackend(PLACE)

    def runner(definitions: Any) -> Any:
        raise raised

    backend.runner = runner  # type: ignore[method-assign]

    with pytest.raises(refused, match=why):
        runner_of(backend, {})


def test_a_place_is_shown_without_its_password():
    """Whoever logs it gives nothing away."""
    assert "hush" not in repr(PLACE)
    assert "main" in repr(PLACE)
