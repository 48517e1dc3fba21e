"""Where the demo's queues are: the Redis that is the store, too, or a RabbitMQ or an SQS beside it.

One beside it is the one that ``TASKBRIDGE_BROKER_URL`` names, ``amqp://...`` or ``sqs://...``; else one that is started
here: a node of RabbitMQ from ``rabbitmq-server`` on the path, or moto's SQS, all in memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.error import URLError
from urllib.request import urlopen

from taskbridge import TaskbridgeError
from taskbridge.backend import Place
from taskbridge_celery.brokers import KINDS as CELERY
from taskbridge_dramatiq.brokers import KINDS as DRAMATIQ

from . import server
from .groups import QUEUES
from .process import ROOT

START_S, STOP_S = 30.0, 10.0

NO_RABBITMQ = """no RabbitMQ was found. Any one of these will do:
  - name one, and a Redis for the store:    TASKBRIDGE_BROKER_URL=amqp://... TASKBRIDGE_STORE_URL=redis://...
  - install one, so that rabbitmq-server is on the path; the demo starts a node of its own
      Debian, Ubuntu: apt install rabbitmq-server    macOS: brew install rabbitmq"""

NO_SQS = """no SQS was found. Any one of these will do:
  - name one, and a Redis for the store:    TASKBRIDGE_BROKER_URL=sqs://?region=eu-west-1 TASKBRIDGE_STORE_URL=redis://...
  - install moto, which make demo does:     pip install 'moto[server]'"""


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
    with {"redis": _redis, "rabbitmq": _rabbitmq, "sqs": _sqs}[kind]() as servers:
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
            yield _beside(redis, "RabbitMQ", named, f"the one {server.VARIABLE} names", _removed("rabbitmq", named))
            return
        with _node() as url:
            yield _beside(redis, "RabbitMQ", url, "rabbitmq-server on the path", lambda _word: None)


@contextmanager
def _sqs() -> Iterator[Servers]:
    named = os.environ.get(server.VARIABLE, "")
    with server.find(server.STORE_VARIABLE) as redis:
        if named:
            if not named.startswith("sqs://"):
                raise server.NoServer(f"{server.VARIABLE} is set, and names no SQS")
            yield _beside(redis, "SQS", named, f"the one {server.VARIABLE} names", _removed("sqs", named))
            return
        if not find_spec("moto"):
            raise server.NoServer(NO_SQS)
        with _moto() as port:
            url = f"sqs://demo:demo@127.0.0.1:{port}?region=eu-west-1&is_secure=false"
            yield _beside(redis, "SQS", url, "moto, in memory", lambda _word: None)


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


def _removed(kind: str, url: str) -> Callable[[str], None]:
    """Return what deletes the queues of a run from a broker that is not ours."""

    def remove(word: str) -> None:
        for kinds in (CELERY, DRAMATIQ):
            place = Place(name="demo", broker_url=url, namespace="demo", queue_prefix=f"{word}-")
            kinds[kind].connect(place).remove(QUEUES)

    return remove


@contextmanager
def _moto() -> Iterator[int]:
    port = server.free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.moto_server", "127.0.0.1", str(port)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the worker first
        )
        try:
            deadline = time.monotonic() + START_S
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read()[-2000:].decode(errors="replace")
                    raise server.NoServer(f"moto did not start; it said:\n{said}")
                time.sleep(0.05)
            yield port
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
