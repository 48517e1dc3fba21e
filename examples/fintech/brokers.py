"""Where the demo's queues are: the Redis that is the store, too, or an SQS beside it.

An SQS is the one that ``TASKBRIDGE_BROKER_URL`` names, ``sqs://...``; else moto's, started here, all in memory.
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
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from . import server
from .process import ROOT

START_S = 30.0

ADVICE = """no SQS was found. Any one of these will do:
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
    with {"redis": _redis, "sqs": _sqs}[kind]() as servers:
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
def _sqs() -> Iterator[Servers]:
    named = os.environ.get(server.VARIABLE, "")
    with server.find(server.STORE_VARIABLE) as redis:
        if named:
            if not named.startswith("sqs://"):
                raise server.NoServer(f"{server.VARIABLE} is set, and names no SQS")
            yield _beside(redis, named, f"the one {server.VARIABLE} names", lambda word: _delete(named, word))
            return
        if not find_spec("moto"):
            raise server.NoServer(ADVICE)
        with _moto() as port:
            url = f"sqs://demo:demo@127.0.0.1:{port}?region=eu-west-1&is_secure=false"
            yield _beside(redis, url, "moto, in memory", lambda _word: None)


def _beside(redis: server.Broker, url: str, origin: str, forget: Callable[[str], None]) -> Servers:
    def forget_both(word: str) -> None:
        forget(word)
        server.forget(redis, word)

    return Servers(
        broker_url=url, store_url=redis.url, origin=f"SQS: {origin}. Redis: {redis.origin}", forget=forget_both
    )


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


def _delete(url: str, word: str) -> None:
    """Delete the queues with this word in their names from an SQS that is not ours."""
    from taskbridge.sqs.client import Client
    from taskbridge.sqs.url import parse

    client: Any = Client(parse(url), "SQS")
    for queue in client.call("list_queues", QueueNamePrefix=word).get("QueueUrls", ()):
        client.call("delete_queue", QueueUrl=queue)
