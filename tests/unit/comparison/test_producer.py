"""What a workload is, and what is refused as none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taskbridge
from taskbridge import Bridge
from taskbridge.comparison.producer import Enqueuing, Order, Ready, Refused, Word, calls_of, words
from taskbridge.enqueue import Enqueued, Receipt
from taskbridge.errors import ConfigError
from tests.servers import RedisServer

TASKS = """
from taskbridge import Bridge, Settings, every, task

@task(queue="emails")
def send(n: int) -> None: ...

@task(queue="slow", schedule=every(seconds=1))
def tick() -> None: ...

def workload(bridge):
    for n in range(3):
        yield send.enqueue(n)

def none(bridge):
    return 0

own = Bridge(Settings(broker_url="redis://production/0"))
empty = Bridge()
"""


@pytest.fixture
def module(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """``load``, to be imported as a process of its own would, on settings from the environment."""
    redis_server.cli().flushall()
    name = f"load_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    bridge = Bridge()
    monkeypatch.setattr(taskbridge, "task", bridge.task)
    monkeypatch.setattr("taskbridge.worker.modules.default_bridge", bridge)
    for setting, value in {"BROKER_URL": redis_server.url(), "NAMESPACE": "mine", "QUEUE_PREFIX": "mine-"}.items():
        monkeypatch.setenv(f"TASKBRIDGE_{setting}", value)
    yield name
    sys.modules.pop(name, None)


def said(module: str, function: str = "workload", *, modules: list[str] | None = None) -> list[Word]:
    order = Order(module=module, function=function, modules=modules or [module], directory=".")
    return list(words(order, [b"go"]))


def refusal(module: str, function: str = "workload", *, modules: list[str] | None = None) -> str:
    last = said(module, function, modules=modules)[-1]
    assert isinstance(last, Refused)
    return last.why


def test_it_is_ready_then_enqueues(module: str, redis_server: RedisServer):
    """First the queues are said, then how many calls."""
    assert [Ready(queues=["emails", "slow"]), Enqueuing(calls=3)] == said(module)
    assert 3 == redis_server.cli().llen("mine-emails")


def test_it_waits_for_the_word(module: str, redis_server: RedisServer):
    """Who was to say it is gone: nothing is enqueued."""
    order = Order(module=module, function="workload", modules=[module], directory=".")

    assert [Ready(queues=["emails", "slow"])] == list(words(order, []))
    assert 0 == redis_server.cli().llen("mine-emails")


def test_schedules_of_the_module_rest(module: str):
    """A worker that declares them later finds them paused: production's own tick is the only one."""
    said(module)

    (state,) = Bridge().store.schedules.all()
    assert state.paused


@pytest.mark.parametrize(
    ("returned", "calls"),
    [
        (7, 7),
        (Enqueued(5, existing=2), 5),
        ([Receipt("a"), Receipt("b")], 2),
        ((n for n in range(4)), 4),
    ],
)
def test_how_many_calls_a_workload_has_enqueued(returned: Any, calls: int):
    """A number, what ``enqueue_many`` returns, or one item a call."""
    assert calls == calls_of(returned)


@pytest.mark.parametrize("returned", [None, "7", True, 2.5, Receipt("a")])
def test_what_says_no_number_is_refused(returned: Any):
    """With what was expected, and what came."""
    with pytest.raises(ConfigError, match="expected the workload to return how many calls it has enqueued, got"):
        calls_of(returned)


@pytest.mark.parametrize("returned", [0, -1, [], Enqueued(0, existing=9)])
def test_a_workload_that_enqueues_nothing_is_refused(returned: Any):
    """There is nothing to measure."""
    with pytest.raises(ConfigError, match="the workload has enqueued nothing"):
        calls_of(returned)


def test_a_function_that_is_not_there_is_refused(module: str):
    """With the nearest name."""
    assert "has no function 'workloud'; did you mean 'workload'?" in refusal(module, "workloud")


def test_a_bridge_with_settings_in_code_is_refused(module: str):
    """They would lead to production, whatever the environment says; nothing was enqueued."""
    assert "has settings in its code" in refusal(module, modules=[f"{module}:own"])


def test_a_bridge_without_tasks_is_refused(module: str):
    """It is another one that has them."""
    assert "declares no task on this bridge" in refusal(module, modules=[f"{module}:empty"])
