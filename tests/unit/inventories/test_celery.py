"""What Celery's own tasks ask for, and what somebody would write for it."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
from celery import Celery, Task, shared_task

from taskbridge.native import NativeTask
from taskbridge_celery.inventory import tasks, tasks_of

HERE = __name__


class Loud(Task):
    """A team's own base class."""

    abstract = True

    def on_failure(self, *args: Any) -> None: ...


@pytest.fixture
def app() -> Celery:
    return Celery("bank", broker="memory://", set_as_current=False)


def pay(user_id: int, day) -> None: ...  # type: ignore[no-untyped-def]


def again(self: Any, user_id: int) -> None:
    self.retry()


def read(app: Celery, function: Any = pay, **options: Any) -> NativeTask:
    """Declare a task with Celery and read it."""
    name = app.task(shared=False, **options)(function).name
    (found,) = [one for one in tasks_of(app) if one.name == name]
    return found


def differences(task: NativeTask) -> str:
    return "\n".join(task.differences)


def test_plain_task_is_declared_plainly(app: Celery):
    """Its queue is Celery's; Celery retries nothing, and that is said, for we would."""
    found = read(app)

    assert (f"{HERE}.pay", f"{HERE}.pay", "celery") == (found.name, found.where, found.queue)
    assert "@task(queue='celery', retry=None)" == found.declaration
    assert ("day",) == found.untyped
    assert "day: annotate" in differences(found)


def test_name_of_its_own_is_kept(app: Celery):
    """Messages call it so."""
    assert "@task(name='bank.pay', queue='celery', retry=None)" == read(app, name="bank.pay").declaration


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ({"soft_time_limit": 20, "time_limit": 30}, "timeout=20, hard_timeout=30, retry=None"),
        ({"rate_limit": "10/m"}, "retry=None, rate_limit=RateLimit('10/m')"),
        ({"rate_limit": 7}, "retry=None, rate_limit=RateLimit('7/s')"),
        ({"expires": 60}, "retry=None, expires=60"),
        ({"rate_limit": "0.5/m"}, "retry=None, rate_limit=RateLimit('1/2m')"),
        ({"rate_limit": "2.5/s"}, "retry=None, rate_limit=RateLimit('5/2s')"),
        ({"autoretry_for": (ValueError,)}, "retry=Backoff(max_retries=3, base=180, cap=180, retry_on=(ValueError,))"),
        (
            {"autoretry_for": (Exception,), "retry_backoff": True, "retry_kwargs": {"max_retries": 7}},
            "retry=Backoff(max_retries=7, base=1, cap=600)",
        ),
        (
            {"autoretry_for": (Exception,), "retry_backoff": 5, "retry_backoff_max": 60, "max_retries": None},
            "retry=Backoff(max_retries=3, base=5, cap=60)",
        ),
    ],
)
def test_options_are_ours(app: Celery, options: dict[str, Any], ours: str):
    """Each under the name that means it here; the declaration is Python that runs."""
    from taskbridge import Backoff, Bridge, RateLimit

    found = read(app, **options)

    assert f"@task(queue='celery', {ours})" == found.declaration
    words = {"task": Bridge().task, "Backoff": Backoff, "RateLimit": RateLimit}
    eval(found.declaration.removeprefix("@"), words)(pay)


@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rate_limit": "10/m"}, "for each worker there, for all workers together here"),
        ({}, "a task whose worker dies begins again"),
        ({"priority": 3}, "ours is 9 first on every broker"),
        ({"serializer": "pickle"}, "arguments are plain JSON"),
        ({"base": Loud}, "on_failure: of the class's own"),
        ({"autoretry_for": (ValueError,), "retry_kwargs": {"max_retries": None}}, "there is always a last attempt"),
        ({"soft_time_limit": 20}, "SoftTimeout in place of SoftTimeLimitExceeded"),
    ],
)
def test_what_differs_is_said(app: Celery, options: dict[str, Any], told: str):
    """In words, at the option."""
    assert told in differences(read(app, **options))
    if options:
        assert told not in differences(read(Celery(set_as_current=False), acks_late=True, name="bank.other"))


def test_own_retries_are_found_in_the_code(app: Celery):
    """Only what raises Retry runs again; ``self`` is not handed over."""
    found = read(app, again, bind=True)

    assert "@task(queue='celery', retry=Backoff(max_retries=3, base=180, cap=180, retry_on=()))" == found.declaration
    assert "write raise Retry(after=...) for self.retry()" in differences(found)
    assert "self is not handed over" in differences(found)
    assert () == found.untyped


def test_tasks_that_are_classes_or_wrapped_are_read(app: Celery):
    """Of a class what ``run`` asks for, of a wrapped function what is inside."""

    class Ledger(Task):
        name = "bank.ledger"

        def run(self, user_id: int) -> None:
            self.retry()

    @wraps(again)
    def around(self: Any, user_id: int) -> None:
        return again(self, user_id)

    app.register_task(Ledger())
    (ledger,) = [one for one in tasks_of(app) if one.name == "bank.ledger"]

    assert "retry_on=()" in ledger.declaration
    assert "retry_on=()" in read(app, around, bind=True, name="bank.around").declaration


def test_configuration_counts(app: Celery):
    """Routes, limits for all tasks, a result backend."""
    app.conf.task_routes = {"*.pay": {"queue": "routed"}}
    app.conf.task_time_limit = 300
    app.conf.result_backend = "cache+memory://"

    found = read(app)

    assert "@task(queue='routed', hard_timeout=300, retry=None)" == found.declaration
    assert "its result: kept by Celery's backend" in differences(found)


def test_all_applications_are_looked_at(app: Celery):
    """Celery's built-in tasks are none; a shared task is every application's, and told once."""
    other = Celery("other", set_as_current=False)
    app.task(name="inventories.here", shared=False)(pay)
    other.task(name="inventories.there", shared=False)(pay)
    shared_task(name="inventories.shared")(pay)

    names = [one.name for one in tasks()]

    assert ["here", "shared", "there"] == [name.partition(".")[2] for name in names if name.startswith("inventories.")]
    assert not [name for name in names if name.startswith("celery.")]
