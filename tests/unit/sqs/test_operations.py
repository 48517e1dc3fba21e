"""What the command line does with queues on SQS: count, purge, look, and say what is amiss."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from taskbridge import Bridge, Settings
from taskbridge.operations.checkup import checkup
from taskbridge.operations.depths import depths
from taskbridge.operations.purge import Purge
from taskbridge.operations.whereabouts import whereabouts
from taskbridge.testing import a_message
from tests.servers import RedisServer
from tests.sqs import SqsServer


@pytest.fixture
def bridge(sqs: SqsServer, redis_server: RedisServer, engine: str) -> Iterator[Bridge]:
    redis_server.cli().flushall()
    made = Bridge(Settings(backend=engine, broker_url=sqs.url(), store_url=redis_server.url()))
    yield made
    made.close()


def test_a_purge_ends_all_parts_of_a_queue(bridge: Bridge, engine: str):
    """As many as waited, bands and all, and nothing else."""
    backend = bridge.backend(engine)
    messages = [a_message(queue="mail", priority=priority) for priority in (0, 5, 9) for _ in range(8)]
    backend.publish(messages)
    backend.publish([a_message(queue="other")])

    purge = Purge(bridge, backend, "mail", "purger")
    list(purge.run())

    assert (24, 24) == (purge.waiting, purge.ended)
    assert {"DONE"} == {record.state for one in messages if (record := bridge.store.messages.look(one.id))}
    assert (0, 1) == (backend.depth("mail"), backend.depth("other"))


def test_a_look_says_that_it_cannot_look(bridge: Bridge, engine: str):
    """And why, instead of finding nothing."""
    message = a_message(queue="mail")
    bridge.backend(engine).publish([message])

    found = whereabouts(bridge, message.id, scan=100, queues=["mail"])

    assert ("unknown", 0) == (found.state, found.scanned)
    assert [
        f"backend {engine}: its broker shows a message only to who receives it, so its queues were not looked through"
    ] == list(found.problems)


def test_depths_count_both_engines_queues(bridge: Bridge, engine: str):
    """The other engine's of the same name, too: nobody serves them."""
    other = "dramatiq" if engine == "celery" else "celery"
    bridge.backend(engine).publish([a_message(queue="mail"), a_message(queue="mail", priority=9)])
    bridge.backend(other).publish([a_message(queue="mail")])

    (depth,) = depths(bridge, ["mail"]).queues

    assert {engine: 2, other: 1} == {name: side.waiting for name, side in depth.backends.items()}


def told(bridge: Bridge) -> list[str]:
    return [f"{one.level}: {one.text}" for one in checkup(bridge, [], {}) if one.about.startswith("broker")]


def test_check_warns_of_a_redrive_policy_that_takes_messages_away(bridge: Bridge, sqs: SqsServer, engine: str):
    """Receiving is no attempt: a busy worker gives back what it has received."""
    client = sqs.client()
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    name = "default" if engine == "celery" else "default-dramatiq"
    for part, often in (("", 3), ("-high", 50)):
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": often})
        client.create_queue(QueueName=name + part, Attributes={"RedrivePolicy": policy})

    said = told(bridge)

    assert 2 == len(said)
    assert said[0].startswith("ok: sqs://testing:***@127.0.0.1")
    assert f"warning: SQS moves a message out of '{name}' that was received 3 times" in said[1]


def test_check_tells_of_a_queue_that_is_not_there(sqs: SqsServer, redis_server: RedisServer, engine: str):
    """Where it may not be made, nothing would be sent or served."""
    settings = Settings(backend=engine, broker_url=sqs.url(create="false"), store_url=redis_server.url())

    assert any("there is no queue 'default" in text and "create=false" in text for text in told(Bridge(settings)))


def test_check_tells_who_is_not_let_in(redis_server: RedisServer, engine: str, monkeypatch: pytest.MonkeyPatch):
    """Without keys, without a region, without anybody there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")

    def told_of(url: str) -> str:
        (text,) = told(Bridge(Settings(backend=engine, broker_url=url, store_url=redis_server.url())))
        return text

    assert "error: sqs://: which region?" in told_of("sqs://")
    assert "no AWS credentials" in told_of("sqs://?region=eu-west-1")
    assert "is away" in told_of("sqs://k:s@127.0.0.1:1?is_secure=false")
