"""What Dramatiq's own actors ask for, and what somebody would write for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from taskbridge.native import NativeTask
from taskbridge_dramatiq.inventory import tasks


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubBroker]:
    broker = StubBroker()
    monkeypatch.setattr(dramatiq.broker, "global_broker", broker)
    yield broker
    broker.close()


def pay(user_id: int, day) -> None: ...  # type: ignore[no-untyped-def]


def read(**options: Any) -> NativeTask:
    """Declare an actor with Dramatiq and read it."""
    dramatiq.actor(**options)(pay)
    (found,) = tasks()
    return found


def test_plain_actor_is_declared_as_it_is():
    """Its name is the function's alone; ten minutes and twenty retries are Dramatiq's word for who says nothing."""
    found = read()

    assert ("pay", f"{__name__}.pay", "default") == (found.name, found.where, found.queue)
    assert "@task(name='pay', timeout=600, retry=Backoff(max_retries=20, base=15, cap=604800))" == found.declaration
    assert ("day",) == found.untyped


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({"max_retries": 0, "queue_name": "mail"}, "queue='mail', timeout=600, retry=None"),
        ({"max_retries": 0, "time_limit": 5_000, "max_age": 60_000}, "timeout=5, retry=None, expires=60"),
        (
            {"max_retries": 3, "min_backoff": 1_000, "max_backoff": 9_000, "throws": (KeyError, ValueError)},
            "timeout=600, retry=Backoff(max_retries=3, base=1, cap=9, give_up_on=(KeyError, ValueError,))",
        ),
    ],
)
def test_options_are_ours(options: dict[str, Any], ours: str):
    """Each under the name that means it here; the declaration is Python that runs."""
    from taskbridge import Backoff, Bridge

    found = read(**options)

    assert f"@task(name='pay', {ours})" == found.declaration
    eval(found.declaration.removeprefix("@"), {"task": Bridge().task, "Backoff": Backoff})(pay)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"priority": 3}, "ours is 0 to 9, 9 first"),
        ({"max_retries": None}, "there is always a last attempt"),
        ({"retry_when": lambda n, error: True}, "retry_when has no like"),
        ({"on_failure": "other"}, "enqueue it in the task"),
    ],
)
def test_what_differs_is_said(options: dict[str, Any], told: str):
    """In words, at the option."""
    callbacks = dramatiq.middleware.Callbacks
    assert callbacks in map(type, dramatiq.get_broker().middleware)

    assert told in "\n".join(read(**options).differences)


@pytest.mark.parametrize("limit_ms", [float("inf"), None])
def test_no_limit_is_no_timeout(limit_ms: float | None):
    """Some say it with infinity."""
    assert "timeout" not in read(time_limit=limit_ms).declaration


def test_what_the_broker_does_not_do_is_not_asked_for(monkeypatch: pytest.MonkeyPatch):
    """A broker without middleware retries nothing and limits nothing; one with a class of the team's own does."""
    monkeypatch.setattr(dramatiq.broker, "global_broker", StubBroker(middleware=[]))
    assert "@task(name='pay', retry=None)" == read().declaration

    own = type("Own", (Retries,), {})(max_retries=2, min_backoff=1_000, max_backoff=2_000)
    monkeypatch.setattr(dramatiq.broker, "global_broker", StubBroker(middleware=[own]))
    assert "@task(name='pay', retry=Backoff(max_retries=2, base=1, cap=2))" == read().declaration


def test_no_broker_is_no_actor(monkeypatch: pytest.MonkeyPatch):
    """And none is made: Dramatiq's default would want RabbitMQ."""
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)

    assert [] == tasks()
