"""The whole example: a Redis, the provider, a worker, the API with its page; until Ctrl-C, which ends all of it.

TASKBRIDGE_BACKEND=dramatiq python -m examples.polling
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NoReturn

import click

from taskbridge import Settings
from taskbridge.errors import ConfigError

from ..fintech.database import NoDatabase, fresh, remove
from ..fintech.process import Process, ProcessFailed, started
from ..fintech.server import NoServer, find, forget, free_port
from . import client, database

HOST = "127.0.0.1"

#: How long API and provider may take to answer for the first time, and between two looks, seconds.
START_S = 20.0
LOOK_S = 0.1


@click.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Of the API and its page.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1), help="Of the worker.")
@click.option("--ready-after", default=3.0, show_default=True, help="When the provider has decided, seconds.")
@click.option("--every", default=1.0, show_default=True, help="How often it is asked, seconds.")
@click.option("--give-up-after", default=20.0, show_default=True, help="When it is asked no more, seconds.")
def main(port: int, processes: int, ready_after: float, every: float, give_up_after: float) -> None:
    """Run payments, their API and a slow provider, on the engine that TASKBRIDGE_BACKEND names (celery by default)."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    options = {
        "POLLING_READY_AFTER_S": str(ready_after),
        "POLLING_EVERY_S": str(every),
        "POLLING_GIVE_UP_AFTER_S": str(give_up_after),
    }
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise click.ClickException(f"port {port} cannot be had: {error.strerror}; choose another: --port") from None
    try:
        backend = Settings(backend=os.environ.get("TASKBRIDGE_BACKEND", "celery")).backend
        with _surroundings(backend) as (environment, folder):
            _run(environment | options, folder, f"{HOST}:{port}", processes)
    except (NoServer, NoDatabase, ProcessFailed, ConfigError) as error:
        raise click.ClickException(str(error)) from None


def _run(environment: dict[str, str], folder: Path, api: str, processes: int) -> NoReturn:
    """Start all, say where, and see that all are alive.

    Raises:
        ProcessFailed: one is not.
    """
    provider = environment[client.VARIABLE]
    commands = {
        "provider": _serving("examples.polling.provider:app", provider),
        "api": _serving("examples.polling.api:app", api),
        "worker": ["taskbridge", "worker", "examples.polling.tasks", "--processes", str(processes), "--grace", "5"],
    }
    with ExitStack() as running:
        alive = [
            running.enter_context(started(command, environment, folder / f"{name}.out"))
            for name, command in commands.items()
        ]
        for address in (provider, api):
            _wait_for(address, alive)
        print(f"Payments on {environment['TASKBRIDGE_BACKEND']}: http://{api}/ (Ctrl-C ends all)", flush=True)
        while True:
            _look_after(alive)
            time.sleep(LOOK_S)


@contextmanager
def _surroundings(backend: str) -> Iterator[tuple[dict[str, str], Path]]:
    """Yield an environment with a Redis and an empty database in it, and a folder; what is ours goes at the end."""
    name = f"polling-{os.urandom(4).hex()}"
    schema = name.replace("-", "_")
    with tempfile.TemporaryDirectory(prefix="taskbridge-polling-") as path, find() as broker:
        url = os.environ.get(database.VARIABLE, "sqlite:")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TASKBRIDGE_")}
        environment = inherited | {
            "TASKBRIDGE_BACKEND": backend,
            "TASKBRIDGE_BROKER_URL": broker.url,
            "TASKBRIDGE_NAMESPACE": name,
            "TASKBRIDGE_QUEUE_PREFIX": f"{name}-",
            database.VARIABLE: fresh(url, schema, Path(path), database.SCHEMA),
            client.VARIABLE: os.environ.get(client.VARIABLE) or f"{HOST}:{free_port()}",
        }
        try:
            yield environment, Path(path)
        finally:
            remove(url, schema)
            forget(broker, name)


def _serving(app: str, address: str) -> Sequence[str]:
    host, _, port = address.rpartition(":")
    return ["uvicorn", app, "--host", host, "--port", port, "--log-level", "warning"]


def _wait_for(address: str, alive: list[Process]) -> None:
    deadline_s = time.monotonic() + START_S
    while not _answers(address):
        _look_after(alive)
        if time.monotonic() > deadline_s:
            raise ProcessFailed(f"nobody has answered at {address} within {START_S:.0f} s")
        time.sleep(LOOK_S)


def _answers(address: str) -> bool:
    connection = HTTPConnection(address, timeout=1)
    try:
        connection.request("HEAD", "/")
        connection.getresponse().read()
        return True
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _look_after(alive: list[Process]) -> None:
    for process in alive:
        if process.ended():
            raise ProcessFailed(f"{process.name} has ended; {process.last_words()}")


def _stop(*_: object) -> NoReturn:
    """End quietly, and let nothing interrupt that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    main()
