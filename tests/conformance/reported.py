"""Tasks of which Sentry is told, in an application that has set up Sentry by itself; the environment says how."""

from __future__ import annotations

import os
import time

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.dramatiq import DramatiqIntegration

from taskbridge import Backoff, Drop, Reschedule, current, task

if "REPORTED_DSN" in os.environ:
    NATIVE = [CeleryIntegration(), DramatiqIntegration()]  # the SDK enables the former by itself, the latter never
    native = os.environ.get("REPORTED_NATIVE") == "on"
    sentry_sdk.init(
        dsn=os.environ["REPORTED_DSN"],
        traces_sample_rate=1.0 if os.environ.get("REPORTED_TRACES") == "on" else None,
        integrations=NATIVE if native else [],
        disabled_integrations=[] if native else NATIVE,
    )
    if os.environ.get("REPORTED_EARLY"):  # so that the children are forked from a process that has sent
        sentry_sdk.capture_message("imported")
        sentry_sdk.flush(timeout=5)

ONCE = Backoff(max_retries=1, base=0, cap=0)


@task(name="reported.fails", queue="reported", retry=ONCE)
def fails(account: int, password: str) -> None:
    sentry_sdk.set_tag("of_attempt", str(current().attempt))
    raise ValueError(f"no account {account}")


@task(name="reported.drops", queue="reported")
def drops() -> None:
    raise Drop("not wanted")


@task(name="reported.later", queue="reported")
def later() -> None:
    if current().starts == 1:
        raise Reschedule(after=0)


@task(name="reported.first", queue="reported")
def first(n: int) -> int:
    return n


@task(name="reported.second", queue="reported", retry=Backoff(max_retries=0))
def second(n: int) -> None:
    raise KeyError(n)


if os.environ.get("REPORTED_TIMED"):  # the engines' own commands refuse it

    @task(name="reported.slow", queue="reported", retry=Backoff(max_retries=0), hard_timeout=0.5)
    def slow() -> None:
        time.sleep(60)


@task(name="reported.word", queue="reported")
def word(text: str) -> None:
    sentry_sdk.capture_message(text)


@task(name="reported.dies", queue="reported", max_crashes=0)
def dies() -> None:
    os._exit(9)


def bare() -> None:
    """A task of the engine's own, of which the SDK's integration tells by itself."""
    raise RuntimeError("a native task")
