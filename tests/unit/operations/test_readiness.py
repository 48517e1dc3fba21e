"""What is told of each task before it moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from taskbridge import Bridge, Settings, current
from taskbridge.announcement import Announcement, announce
from taskbridge.backend import Capabilities
from taskbridge.config import BackendSettings
from taskbridge.errors import BackendNotInstalled, ConfigError
from taskbridge.native import Inventory, NativeOption, NativeTask
from taskbridge.operations.readiness import Readiness, Report, readiness
from tests.servers import RedisServer

OWN = NativeTask(
    name="bank.pay",
    queue="mail",
    where="bank.pay",
    options=(NativeOption(said="no retries", ours="retry=None"), NativeOption(said="self", differs="is gone")),
)


@pytest.fixture
def bridge(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, standing: None) -> Iterator[Bridge]:
    """On Celery, with backends to go to; the process has no tasks of Celery's own."""
    redis_server.cli().flushall()
    url = redis_server.url()
    backends = {
        "old": BackendSettings(engine="celery", broker_url=url),
        "new": BackendSettings(engine="dramatiq", broker_url=url),
        "far": BackendSettings(engine="celery", broker_url="sqs://k:s@127.0.0.1:1"),
    }
    bridge = Bridge(Settings(backend="old", store_url=url, backends=backends))
    monkeypatch.setattr("taskbridge_celery.inventory.tasks", list)
    yield bridge
    bridge.close()


def declare(bridge: Bridge, name: str = "app.send", **options: Any) -> None:
    @bridge.task(name=name, **options)
    def send(user_id: int) -> None:
        current()


def serve(bridge: Bridge, *tasks: str, queue: str = "default", backend: str = "new") -> None:
    """Let a worker live that takes these."""
    told = Announcement(
        name="w", backends=[backend], queues=[queue], processes=1, tasks={task: ["user_id"] for task in tasks}
    )
    announce(bridge.store, told)


def look(bridge: Bridge, target: str = "new") -> Readiness:
    (one,) = readiness(bridge, "old", target).tasks
    return one


def test_task_that_a_worker_takes_there_is_ready(bridge: Bridge):
    """Nothing changes, so nothing is said."""
    declare(bridge)
    serve(bridge, "app.send")

    report = readiness(bridge, "old", "new")

    assert (
        Report(
            origin="old", target="new", general=[], tasks=[Readiness(task="app.send", queue="default", verdict="ready")]
        )
        == report
    )
    assert report.ready


@pytest.mark.parametrize("there", [{"queue": "mail"}, {"backend": "old"}, None])
def test_task_that_nobody_takes_there_waits(bridge: Bridge, there: dict[str, str] | None):
    """A worker of another queue or backend is none."""
    declare(bridge)
    if there is not None:
        serve(bridge, "app.send", **there)

    one = look(bridge)

    assert ("wait", ["no live worker on new takes it from queue default: start one"]) == (one.verdict, one.notes)


def test_task_the_target_cannot_keep_is_refused(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """With the reason; the report is not ready."""
    declare(bridge, hard_timeout=5)
    monkeypatch.setattr(bridge.backend("new"), "capabilities", Capabilities(hard_timeout=False))

    report = readiness(bridge, "old", "new")

    assert ["refused"] == [one.verdict for one in report.tasks]
    assert "the backend 'new' cannot keep the hard_timeout of 5 s of app.send" in report.tasks[0].notes[0]
    assert not report.ready


def test_messages_that_the_target_does_not_take_are_said(bridge: Bridge):
    """``max_payload`` is above what SQS takes of Celery: the worker would refuse to start there."""
    large = Bridge(replace(bridge.settings, max_payload=500_000))
    declare(large)

    report = readiness(large, "old", "far")

    assert ["refused"] == [one.verdict for one in report.tasks]
    assert "'far' takes messages of up to 385024 bytes, and max_payload is 500000" in report.tasks[0].notes[0]
    assert ["wait"] == [one.verdict for one in readiness(large, "old", "new").tasks]
    large.close()


def test_what_only_our_worker_keeps_is_said(bridge: Bridge):
    """Dramatiq's own command ends no process."""
    declare(bridge, hard_timeout=5)
    serve(bridge, "app.send")

    assert ["its timeouts are kept by `taskbridge worker`, and not by dramatiq's own command"] == look(bridge).notes


def test_what_a_broker_keeps_less_is_said_once(bridge: Bridge):
    """For all tasks: SQS shows nobody what waits, and hides longer what a killed worker had."""
    declare(bridge, "app.one")
    declare(bridge, "app.two")

    general = readiness(bridge, "old", "far").general

    assert "what waits in a queue cannot be looked through" in general
    assert [] == [one for one in readiness(bridge, "old", "new").general if "cannot be looked through" in one]


def test_engines_own_tasks_are_declared_first(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """With the decorator, what differs, and ours of the same name if they may be meant to be the same."""
    monkeypatch.setattr(bridge.backend("old"), "inventory", lambda: Inventory(tasks=(OWN,)))
    declare(bridge, "other.pay")

    _, own = sorted(readiness(bridge, "old", "new").tasks, key=lambda one: one.verdict == "declare")

    assert ("bank.pay", "mail", "declare") == (own.task, own.queue, own.verdict)
    assert "@task(queue='mail', retry=None)" == own.declaration
    assert ["self: is gone", "other.pay is declared with us: if it is meant to be this one, name it so"] == own.notes


def test_engines_own_task_that_is_declared_with_us_is_ours(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """Its messages run as ours."""
    monkeypatch.setattr(bridge.backend("old"), "inventory", lambda: Inventory(tasks=(OWN,)))
    declare(bridge, "bank.pay", queue="mail")
    serve(bridge, "bank.pay", queue="mail")

    assert "ready" == look(bridge).verdict


def test_engines_own_settings_are_said(bridge: Bridge):
    """They are of no use to another engine, and of use to the same."""
    declare(bridge)
    bridge.backend("old").conf["result_backend"] = "rpc://"  # type: ignore[attr-defined]

    assert ["conf['result_backend'] is celery's alone"] == readiness(bridge, "old", "new").general
    assert "conf['result_backend'] is celery's alone" not in readiness(bridge, "old", "far").general


@pytest.mark.usefixtures("bridge")
def test_store_that_is_away_leaves_the_rest(redis_server: RedisServer):
    """Who would take the messages is not known, and said so."""
    bridge = Bridge(Settings(broker_url=redis_server.url(), store_url="redis://127.0.0.1:1/0"))
    declare(bridge)

    report = readiness(bridge, "celery", "dramatiq")

    assert ["ready"] == [one.verdict for one in report.tasks]
    assert "who would take the messages is not known" in report.general[-1]
    bridge.close()


@pytest.mark.parametrize(
    ("origin", "target", "told"),
    [
        ("old", "old", "expected two backends, got 'old' twice"),
        ("old", "nwe", "did you mean 'new'"),
        ("odl", "new", "did you mean 'old'"),
        ("old", "new", "no task is declared here"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(bridge: Bridge, origin: str, target: str, told: str):
    """A backend twice, one nobody knows, and modules without a task."""
    with pytest.raises(ConfigError, match=told):
        readiness(bridge, origin, target)


def test_engine_that_is_not_installed_is_named(bridge: Bridge, monkeypatch: pytest.MonkeyPatch):
    """With what to install."""

    def missing() -> Inventory:
        raise ModuleNotFoundError("No module named 'celery'", name="celery")

    monkeypatch.setattr(bridge.backend("old"), "inventory", missing)

    with pytest.raises(BackendNotInstalled, match=r"pip install 'taskbridge\[celery\]'"):
        readiness(bridge, "old", "new")
