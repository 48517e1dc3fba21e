"""Where the demo's queues are: the Redis that is the store, too, or a RabbitMQ beside it.

A RabbitMQ is the one that ``TASKBRIDGE_BROKER_URL`` names, ``amqp://...``; else a node that is started here from
``rabbitmq-server`` on the path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from taskbridge import TaskbridgeError
from taskbridge.backend import Place
from taskbridge_celery.brokers import KINDS as CELERY
from taskbridge_dramatiq.brokers import KINDS as DRAMATIQ

from . import server
from .groups import QUEUES
from .process import ROOT

STOP_S = 10.0

NO_RABBITMQ = """no RabbitMQ was found. Any one of these will do:
  - name one, and a Redis for the store:    TASKBRIDGE_BROKER_URL=amqp://... TASKBRIDGE_STORE_URL=redis://...
  - install one, so that rabbitmq-server is on the path; the demo starts a node of its own
      Debian, Ubuntu: apt install rabbitmq-server    macOS: brew install rabbitmq"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where a run's queues and its store are, and what they are, for people."""

    broker_url: str
    store_url: str
    origin: str
    forget: Callable[[str], None]
    """Deletes what has this word in its name, where a server is not ours."""


@contextmanager
def find(kind: str) -> Iterator[Servers]:
    """Yield the servers of one kind of broker; those that are started here are stopped at the end.

    Raises:
        NoServer: one was not found, or does not answer.
    """
    with {"redis": _redis, "rabbitmq": _rabbitmq}[kind]() as servers:
        yield servers


@contextmanager
def _redis() -> Iterator[Servers]:
    with server.find() as redis:
        store_url = redis.url if redis.ours else os.environ.get(server.STORE_VARIABLE, redis.url)
        yield Servers(
            broker_url=redis.url,
            store_url=store_url,
            origin=f"Redis: {redis.origin}",
            forget=lambda word: server.forget(redis, word),
        )


@contextmanager
def _rabbitmq() -> Iterator[Servers]:
    named = os.environ.get(server.VARIABLE, "")
    with server.find(server.STORE_VARIABLE) as redis:
        if named:
            _ask(named)
            yield _beside(
                redis, "RabbitMQ", named, f"the one {server.VARIABLE} names", lambda word: _empty(named, word)
            )
            return
        with _node() as url:
            yield _beside(redis, "RabbitMQ", url, "rabbitmq-server on the path", lambda _word: None)


def _beside(redis: server.Broker, kind: str, url: str, origin: str, forget: Callable[[str], None]) -> Servers:
    def forget_both(word: str) -> None:
        forget(word)
        server.forget(redis, word)

    return Servers(
        broker_url=url, store_url=redis.url, origin=f"{kind}: {origin}. Redis: {redis.origin}", forget=forget_both
    )


@contextmanager
def _node() -> Iterator[str]:
    """A node of the tests' kind, which is gone when the process that keeps it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.rabbitmq"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the demo, which then stops the worker first
        text=True,
    )
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise server.NoServer(f"{NO_RABBITMQ}\nit said: {process.communicate()[1].strip()[-2000:]}")
        yield url
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _ask(url: str) -> None:
    if not url.startswith(("amqp://", "amqps://")):
        raise server.NoServer(f"{server.VARIABLE} is set, and names no RabbitMQ")
    try:
        for kinds in (CELERY, DRAMATIQ):
            broker = kinds["rabbitmq"].connect(Place(name="demo", broker_url=url, namespace="demo"))
            broker.ping()
            broker.close()
    except TaskbridgeError as error:
        raise server.NoServer(f"{server.VARIABLE} is set, but there is no RabbitMQ to use: {error}") from None


def _empty(url: str, word: str) -> None:
    """Delete the queues of a run from a RabbitMQ that is not ours."""
    for kinds in (CELERY, DRAMATIQ):
        place = Place(name="demo", broker_url=url, namespace="demo", queue_prefix=f"{word}-")
        kinds["rabbitmq"].connect(place).remove(QUEUES)
