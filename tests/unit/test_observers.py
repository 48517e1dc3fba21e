"""Observers: named in the settings, found by entry point, called once before anything is sent or run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge, Settings
from taskbridge.config import load
from taskbridge.errors import ConfigError


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Bridge]:
    """The bridges that an installed package's observer ``tests-ledger`` was called with."""
    module = f"observer_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text("seen = []\nobserve = seen.append\n", "ascii")
    (tmp_path / f"{module}_missing.py").write_text("import no_such_vendor\n", "ascii")
    info = tmp_path / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n", "ascii")
    entries = f"tests-ledger = {module}:observe\ntests-absent = {module}_missing:observe\n"
    (info / "entry_points.txt").write_text(f"[taskbridge.observers]\n{entries}", "ascii")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__(module)
    bridges: list[Bridge] = sys.modules[module].seen
    return bridges


def a_bridge(*observers: str) -> Bridge:
    return Bridge(Settings(backend="memory", observers=observers))


def test_an_observer_is_called_once_before_anything_is_sent_or_run(seen: list[Bridge]):
    """With its bridge; one that nothing names is not called."""
    bridge = a_bridge("tests-ledger")
    a_bridge().sender  # noqa: B018

    assert [] == seen
    bridge.sender  # noqa: B018
    bridge.runtime  # noqa: B018
    bridge.observe()

    assert [bridge] == seen


def test_who_asks_for_more_gets_each_once(seen: list[Bridge]):
    """A worker that serves metrics has them observed, whether the settings name them or not."""
    named, bare = a_bridge("tests-ledger"), a_bridge()
    named.observe("tests-ledger")
    bare.sender  # noqa: B018  (a module that enqueues while it is imported)
    bare.observe("tests-ledger")
    bare.observe("tests-ledger")

    assert [named, bare] == seen


def test_an_observer_nobody_has_is_refused_with_the_nearest(seen: list[Bridge]):
    """Before anything is sent: a typo must not go unnoticed for weeks."""
    bridge = a_bridge("tests-leger")
    for _ in range(2):  # not only the first time
        with pytest.raises(ConfigError, match="observers: none is called 'tests-leger'; did you mean 'tests-ledger'"):
            bridge.sender  # noqa: B018


def test_an_observer_without_its_package_says_what_to_install(seen: list[Bridge]):
    """The vendor's package, by its name; of ours, the extra."""
    with pytest.raises(ConfigError, match="'tests-absent' needs the package 'no_such_vendor', which is not installed"):
        a_bridge("tests-absent").sender  # noqa: B018


def test_an_observer_of_ours_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    """It is what brings the package."""
    for module in [one for one in sys.modules if one.startswith("taskbridge.observe.opentelemetry")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    extra = r"needs the package 'opentelemetry.*pip install 'taskbridge\[opentelemetry\]'"
    with pytest.raises(ConfigError, match=extra):
        a_bridge("opentelemetry").sender  # noqa: B018


def test_observers_are_named_in_the_environment(tmp_path: Path):
    """Comma-separated; one named twice is one."""
    assert ("sentry", "metrics") == load({"TASKBRIDGE_OBSERVERS": "sentry, metrics,sentry"}, tmp_path).observers


@pytest.mark.parametrize("given", ["metrics", 7, [7]])
def test_observers_are_a_list_of_names(given: Any):
    """A text alone is not taken for one, letter by letter."""
    with pytest.raises(ConfigError, match="observers: expected a list of names"):
        Settings(backend="memory", observers=given)


def test_observers_send_what_they_hold_when_a_bridge_is_closed(caplog: pytest.LogCaptureFixture):
    """Each, though another fails; the log says which."""
    bridge, sent = a_bridge(), list[str]()

    def broken() -> None:
        raise OSError("no route")

    bridge.observing.on_flush(broken)
    bridge.observing.on_flush(lambda: sent.append("held"))

    bridge.close()

    assert ["held"] == sent
    assert "failed to send what it held" in caplog.text
    assert "no route" in caplog.text
