"""What Celery's own command does with messages that it cannot read: each is kept, and costs no other and no worker."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

from tests.servers import RedisServer

pytestmark = pytest.mark.service("redis")

#: Hands the command a message that its worker knows no task for, and says what the dead letters have then.
CODE = """
import base64, json, sys
from kombu import Message
from taskbridge_celery.command import Served
from taskbridge import default_bridge as bridge

served = Served(bridge, bridge.backend("celery"))
for words in json.loads(sys.argv[1]):
    body = base64.b64decode(words.pop("body"))
    message = Message(body=body, delivery_info={"routing_key": "mails"}, accept={"application/json"}, **words)
    served.park(message)
print(json.dumps([[one.queue, one.why, one.body.decode()] for one in bridge.store.dead.list(9)]))
print(json.dumps(bridge.store.parked.groups()))
"""

#: Has Celery's tracer run a task that its worker knows, with an argument and a header of ours each.
TRACED = """
import json, sys
from celery.app.trace import build_tracer
from taskbridge import default_bridge as bridge
from taskbridge_celery.command import serve

ran = []

@bridge.task(name="mails.send", queue="mails")
def send(n: int | float | str | None) -> None:
    ran.append(n)

app = serve(bridge)
trace = build_tracer("mails.send", app.tasks["mails.send"], app=app)
for at, (argument, header) in enumerate(json.loads(sys.argv[1])):
    id, headers = f"celery-{at}", {"taskbridge": header}
    request = {"id": id, "headers": headers, "delivery_info": {"routing_key": "mails"}, "retries": 0}
    trace(id, [argument], {}, request)
print(json.dumps([[one.queue, one.why, one.body.decode()] for one in bridge.store.dead.list(9)]))
print(json.dumps(ran))
"""

HEADERS: dict[str, Any] = {"task": "gone.away", "id": "1", "lang": "py"}


def a_call(body: bytes = b"[[],{},{}]", encoding: str = "utf-8", kind: str = "json", **more: Any) -> dict[str, Any]:
    words: dict[str, Any] = {"content_type": f"application/{kind}", "content_encoding": encoding}
    return words | {"headers": HEADERS | more, "body": base64.b64encode(body).decode()}


@pytest.fixture(scope="module")
def told(redis_server: RedisServer) -> tuple[list[list[str]], dict[str, int]]:
    """What became of messages of a task that nobody has."""
    messages = [
        a_call(pickle.dumps(((), {}, {})), "binary", "x-python-serialize"),
        a_call(b"\xff\xfe{"),
        a_call(encoding="nonsense", id="4"),  # it says nothing where the content is JSON
        a_call(retries="x", id="2"),
        a_call(retries="x", id="3"),
        a_call(id="\ud800"),
        a_call(id="well"),
    ]
    dead, parked = said(CODE, messages, redis_server, "own")
    return dead, parked


def said(code: str, messages: object, server: RedisServer, namespace: str) -> list[Any]:
    """Run code with messages; returns what it printed, a value a line."""
    words = {
        "BACKEND": "celery",
        "BROKER_URL": "amqp://127.0.0.1:1/",
        "STORE_URL": server.url(),
        "NAMESPACE": namespace,
    }
    environment = os.environ | {f"TASKBRIDGE_{name}": value for name, value in words.items()}
    command = [sys.executable, "-c", code, json.dumps(messages)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_what_cannot_be_read_is_dead_and_ends_no_worker(told: tuple[list[list[str]], dict[str, int]]):
    """Pickle, bytes, headers that make no sense: and what can be read is parked."""
    dead, parked = told

    assert 5 == len(dead)
    assert all(queue == "mails" and why for queue, why, _ in dead)
    assert "untrusted content of type pickle" in "".join(why for _, why, _ in dead)
    assert {"gone.away": 2} == parked


def test_dead_letters_keep_all_that_a_message_came_with(told: tuple[list[list[str]], dict[str, int]]):
    """Two of one body are two, told apart by their headers."""
    bodies = [json.loads(body) for _, _, body in told[0]]

    assert {"2", "3"} <= {one["headers"]["id"] for one in bodies if isinstance(one["headers"], dict)}
    assert all("gone.away" in str(one["headers"]) for one in bodies)


def test_a_known_task_is_not_run_by_a_header_that_makes_no_sense(redis_server: RedisServer):
    """A word of another kind, half a surrogate pair, none of ours: dead letters that say why; the next one runs."""
    well = {"id": "w", "queue": "mails"}
    headers = [{"id": 7}, {"id": "\ud800", "queue": "mails"}, [1], "x", {"id": "y", "queue": "\ud800"}, well]

    dead, ran = said(TRACED, list(enumerate(headers)), redis_server, "known")

    assert [5] == ran
    assert 5 == len(dead)
    assert all(queue == "mails" and why and "mails.send" in body for queue, why, body in dead)


def test_an_argument_that_is_no_value_of_json_is_not_changed_into_one(redis_server: RedisServer):
    """Python's reader takes them from a careless producer: they are dead letters, as under our worker. Null is none."""
    big = 10**30
    dead, ran = said(TRACED, [[one, None] for one in (float("nan"), "\ud800", big, None, "é")], redis_server, "values")

    assert [big, None, "é"] == ran
    assert 2 == len(dead)
    assert any("NaN" in body for _, _, body in dead)
    assert any("ud800" in body for _, _, body in dead)
