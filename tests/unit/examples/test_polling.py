"""The polling example: a payment's way, and the whole of it with real processes on each engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from examples.fintech.database import Database, fresh, remove
from examples.fintech.process import ROOT
from examples.polling import client, database, payments, tasks
from taskbridge import Reschedule
from taskbridge.current import Current, running
from tests.servers import HOST, free_port, until

from .conftest import postgres

#: Amounts by what becomes of them; the provider looks at the cents.
ENDS = {"12.50": "done", "12.13": "declined", "12.99": "gave up", "12.29": "done"}

#: The provider decides at once; what it decides is done before anything is given up, on a busy machine, too.
FAST = ("--ready-after", "0.4", "--every", "0.1", "--give-up-after", "15")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service("postgres"))])
def db(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    server, schema = "sqlite:" if request.param == "sqlite" else postgres(), f"polling_{os.urandom(8).hex()}"
    monkeypatch.setenv(database.VARIABLE, fresh(server, schema, tmp_path, database.SCHEMA))
    with database.opened() as db:
        yield db
    remove(server, schema)


def test_a_payment_is_one_for_its_key(db: Database):
    """Asked for again it is the same one, whatever became of it; another key is another payment."""
    first, new = payments.request(db, "k", 1_250)
    payments.sent(db, first.id, "ch-1")
    again, new_again = payments.request(db, "k", 1_250)
    other, _ = payments.request(db, "l", 1_250)

    assert (True, False) == (new, new_again)
    assert (first.id, "waiting") == (again.id, again.state)
    assert {first.id, other.id} == {payment.id for payment in payments.newest(db)}


def test_a_step_is_made_once_and_never_back(db: Database):
    """Told again, nothing changes; what has ended stays ended, but for what was given up: its replay may end it."""
    id = payments.request(db, "k", 1_250)[0].id

    for state in ("waiting", "waiting", "gave up", "waiting", "failed", "done", "declined", "gave up", "failed"):
        with db.transaction():
            payments.move(db, id, state)

    assert ("requested", "waiting", "gave up", "done") == payments.find(db, id).steps
    assert "done" == payments.find(db, id).state


@pytest.mark.parametrize(
    ("error", "final", "steps"),
    [
        (OSError("refused"), False, ("requested",)),
        (OSError("refused"), True, ("requested", "failed")),
        (Reschedule(1), True, ("requested", "waiting", "gave up")),
    ],
)
def test_the_end_of_its_message_is_told(
    db: Database, monkeypatch: pytest.MonkeyPatch, error: BaseException, final: bool, steps: tuple[str, ...]
):
    """A provider that nobody reaches fails the payment, one that never decides is given up; not before the end."""
    monkeypatch.setenv(client.VARIABLE, f"{HOST}:{free_port()}")
    id = payments.request(db, "k", 1_250)[0].id

    with running(me := a_message()), pytest.raises(OSError, match="refused"):
        tasks.pay(id)
    if "waiting" in steps:
        payments.sent(db, id, "ch-1")
    tasks.write_down(me, error, final)

    assert steps == payments.find(db, id).steps


def a_message() -> Current:
    names = {"id": "m", "task": tasks.pay.name, "queue": "payments"}
    return Current(**names, attempt=1, starts=1, fencing_token=1, enqueued_at_ms=0, first_due_ms=0)


def call(address: str, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    connection = HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text
    finally:
        connection.close()


def pay(address: str, key: str, amount: Any) -> tuple[int, Any]:
    return call(address, "/payments", "POST", {"amount": amount}, **{"Idempotency-Key": key})


@contextmanager
def example(backend: str, database_url: str, provider: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """The example, in a process group of its own, which is gone in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.polling", "--port", str(port), *FAST],
        env=os.environ | {"TASKBRIDGE_BACKEND": backend, database.VARIABLE: database_url, client.VARIABLE: provider},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


@pytest.mark.usefixtures("redis")
@pytest.mark.service("redis")
@pytest.mark.parametrize(
    ("backend", "server"),
    [("celery", "sqlite"), pytest.param("dramatiq", "postgres", marks=pytest.mark.service("postgres"))],
)
def test_payments_are_followed_to_their_ends(backend: str, server: str):
    """Done, declined and given up, each step once, each at the provider once; Ctrl-C ends all of it quietly."""
    port, provider = free_port(), f"{HOST}:{free_port()}"
    api, url = f"{HOST}:{port}", "sqlite:" if server == "sqlite" else postgres()
    with example(backend, url, provider, port) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert f"Payments on {backend}: http://{api}/ (Ctrl-C ends all)\n" == said, said + process.stdout.read()

        started = {amount: pay(api, f"key-{amount}", amount) for amount in ENDS}
        again = pay(api, "key-12.50", "12.50")
        refused = [
            pay(api, "key-12.50", "12.51")[0],
            pay(api, "", "1.00")[0],
            *(pay(api, "other", amount)[0] for amount in ("1", 1.5, "-1.00", "0.00", None)),
            call(api, "/payments", "POST", ["1.00"], **{"Idempotency-Key": "other"})[0],
            call(api, "/payments/none")[0],
        ]
        ids = {amount: said["id"] for amount, (_, said) in started.items()}

        def state(amount: str) -> str:
            return str(call(api, f"/payments/{ids[amount]}")[1]["state"])

        until(lambda: all(state(amount) == end for amount, end in ENDS.items()), 60, "each payment at its end")
        steps = {amount: call(api, f"/payments/{id}")[1]["steps"] for amount, id in ids.items()}
        charges = call(provider, "/charges")[1]
        shown = call(api, "/payments")[1]
        page = call(api, "/")
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[0]

    assert [(202, "requested")] * 4 == [(status, said["state"]) for status, said in started.values()]
    assert (200, ids["12.50"]) == (again[0], again[1]["id"])
    assert [422, 400, 400, 400, 400, 400, 400, 400, 404] == refused
    assert {amount: ["requested", "waiting", end] for amount, end in ENDS.items()} == steps
    assert set(ids.values()) == charges.keys() == {one["id"] for one in shown}
    assert charges[ids["12.29"]]["asked"] > 1  # the first time it was one too many, which is no failure
    assert (200, "<!doctype html>") == (page[0], page[1][:15])
    assert (0, "") == (process.returncode, rest.strip())
    for address in (api, provider):
        with pytest.raises(OSError, match="refused"):
            call(address, "/")
