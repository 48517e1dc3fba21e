"""How large messages may be where: what is declared is taken, and what is above it is refused by whoever is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from taskbridge import Bridge, Settings
from taskbridge.backend import Capabilities, Place, load
from taskbridge.errors import NotSupported
from taskbridge.message import Message, encode
from taskbridge.policies.payload import refuse_payload
from taskbridge.rabbitmq.broker import RABBITMQ_PAYLOAD_BYTES
from taskbridge.sqs import body
from taskbridge.sqs.outgoing import MOST_BYTES
from taskbridge.testing import a_message
from taskbridge.worker.template import _runner

SQS, RABBITMQ = "sqs://k:s@127.0.0.1:1?region=eu-west-1", "amqp://127.0.0.1:1/"

#: 16 MiB. Source: RabbitMQ 4.0 release notes, ``max_message_size``.
RABBITMQ_BYTES = 16_777_216


def a_backend(engine: str, url: str) -> Any:
    return load(engine, Place(name=engine, broker_url=url, namespace="unit"))


def as_large_as(most: int, text: str) -> Message:
    """Return a message of just so many bytes, most of them this text's; it has all that a message may have."""
    fields: dict[str, Any] = {
        "task": "bank.payments.send_report_email",
        "kwargs": msgspec.Raw(b'{"user_id":1}'),
        "tags": ("one", "two"),
        "trace": msgspec.Raw(b'{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'),
    }
    empty = len(encode(a_message(args=msgspec.Raw(b'[""]'), **fields)))
    each = len(msgspec.json.encode(text)) - 2
    args = msgspec.Raw(msgspec.json.encode([text * ((most - empty) // each)]))
    return a_message(args=args, **fields)


@pytest.mark.parametrize("text", ["a", '"', "\\", "\n", "\x01", "é", "€", "😀"])
@pytest.mark.parametrize(("url", "most"), [(SQS, MOST_BYTES), (RABBITMQ, RABBITMQ_BYTES)])
@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_what_is_declared_is_taken_whatever_it_is_made_of(engine: str, url: str, most: int, text: str):
    """As the engine writes it on that broker."""
    backend = a_backend(engine, url)
    kept = backend.capabilities.max_payload
    assert kept == backend.own_command.max_payload

    message = as_large_as(kept, text)

    assert kept - 10 <= len(encode(message)) <= kept
    if url is SQS:
        raw = backend.broker._dialect.encode(message, "q", front=True)
        assert len(body.to_text(raw)) <= most
    else:
        assert len(backend.broker._parcel(message, front=True).body) <= most


@pytest.mark.parametrize(
    ("max_payload", "kept", "refused"),
    [(65_536, 0, False), (10**9, 0, False), (65_536, 65_536, False), (65_537, 65_536, True)],
)
def test_only_what_is_above_is_refused(max_payload: int, kept: int, refused: bool):
    """A limit of nothing is none; the error names both, and what to change."""
    if not refused:
        refuse_payload(max_payload, Capabilities(max_payload=kept), "here")
        return

    with pytest.raises(NotSupported, match="here takes messages of up to 65536 bytes, and max_payload is 65537: lower"):
        refuse_payload(max_payload, Capabilities(max_payload=kept), "here")


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_the_first_enqueue_is_refused(engine: str):
    """Before anything is sent; a default that every broker takes asks for none."""
    settings: dict[str, Any] = {"backend": engine, "broker_url": RABBITMQ, "store_url": "memory://"}
    bridge = Bridge(Settings(max_payload=RABBITMQ_PAYLOAD_BYTES + 1, **settings))

    @bridge.task(name="app.send")
    def send() -> None: ...

    with pytest.raises(NotSupported, match=f"the backend '{engine}' takes messages of up to"):
        send.using(delay=60).enqueue()
    assert Bridge(Settings(max_payload=RABBITMQ_PAYLOAD_BYTES, **settings)).sender


def too_large(engine: str) -> Bridge:
    settings: dict[str, Any] = {"backend": engine, "broker_url": RABBITMQ, "store_url": "memory://"}
    return Bridge(Settings(max_payload=RABBITMQ_PAYLOAD_BYTES + 1, **settings))


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_a_worker_does_not_start(engine: str):
    """Before it takes anything, whatever its tasks are."""
    with pytest.raises(NotSupported, match=f"the backend '{engine}' takes messages of up to {RABBITMQ_PAYLOAD_BYTES}"):
        _runner(too_large(engine), engine)


@pytest.mark.parametrize(
    ("engine", "where"), [("celery", "Celery's own command"), ("dramatiq", "Dramatiq's own command")]
)
def test_an_engines_own_command_does_not_start(engine: str, where: str):
    """With its first task: it ends with what it takes, and what to do."""
    code = f"import taskbridge_{engine}.command, taskbridge; taskbridge.task(name='app.send')(lambda: None)"
    words = {"BACKEND": engine, "BROKER_URL": RABBITMQ, "MAX_PAYLOAD": str(RABBITMQ_PAYLOAD_BYTES + 1)}
    environment = os.environ | {f"TASKBRIDGE_{name}": value for name, value in words.items()}
    environment["TASKBRIDGE_STORE_URL"] = "redis://127.0.0.1:1/0"

    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)

    assert 1 == ran.returncode
    assert f"NotSupported: {where} takes messages of up to {RABBITMQ_PAYLOAD_BYTES} bytes" in ran.stderr
    assert "save the data and pass its id" in ran.stderr
