"""Queues are found once, made where they may be, or given; and what cannot be says what to do."""

from __future__ import annotations

import pytest

from taskbridge.backend import Backend
from taskbridge.config import BackendSettings
from taskbridge.errors import ConfigError
from taskbridge.testing import a_message
from tests.meddler import Answer, error
from tests.sqs import SqsServer, attributes, bodies, names

from .conftest import Stage

SUFFIX = {"celery": "", "dramatiq": "-dramatiq"}


def test_a_queue_is_made_when_it_is_first_used(stage: Stage, sqs: SqsServer, engine: str):
    """And a band when it is: with our visibility, and kept for as long as SQS may."""
    backend, suffix = stage.backend(engine), SUFFIX[engine]

    backend.publish([a_message(queue="mail")])
    first = names(sqs.client())
    backend.publish([a_message(queue="mail", priority=9)])
    backend.publish([a_message(queue="mail")], front=True)

    assert [f"mail{suffix}"] == first
    assert [f"mail{suffix}", f"mail{suffix}-front", f"mail{suffix}-high"] == names(sqs.client())
    made = attributes(sqs.client(), f"mail{suffix}")
    assert ("30", "1209600") == (made["VisibilityTimeout"], made["MessageRetentionPeriod"])


def test_a_queue_is_looked_for_once(stage: Stage):
    """Each further message is one request."""
    backend = stage.backend()
    for _ in range(5):
        backend.publish([a_message(queue="mail")])

    asked = stage.meddler.asked
    assert (1, 1, 5) == (asked["GetQueueUrl"], asked["CreateQueue"], asked["SendMessage"])


def test_a_queue_that_was_made_anew_is_found_again(stage: Stage, sqs: SqsServer):
    """Deleted behind our back, its messages are gone; the next one is not."""
    backend, client = stage.backend(), sqs.client()
    backend.publish([a_message(queue="mail")])
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName="mail")["QueueUrl"])

    backend.publish([a_message(queue="mail")])

    assert 1 == len(bodies(client, "mail"))


def no_making(action: str, words: object) -> Answer:
    return error("AccessDenied", 403) if action == "CreateQueue" else None


@pytest.mark.parametrize("how", ["create=false", "denied"])
def test_a_queue_that_may_not_be_made_is_missed_clearly(stage: Stage, how: str):
    """By its name, with the two ways out."""
    stage.meddler.meddle = no_making
    backend = stage.backend(url=stage.meddler.url + ("&create=false" if how == "create=false" else ""))

    with pytest.raises(ConfigError, match=r"no queue 'mail'.*CreateQueue.*\[backends.NAME.queues\]"):
        backend.publish([a_message(queue="mail")])


def test_what_belongs_in_a_part_that_may_not_be_made_goes_to_its_queue(
    stage: Stage, sqs: SqsServer, caplog: pytest.LogCaptureFixture
):
    """Said once: it only waits behind others there, and a relay that failed would hold up everything."""
    sqs.client().create_queue(QueueName="mail")
    stage.meddler.meddle = no_making
    backend = stage.backend()

    for _ in range(3):
        backend.publish([a_message(queue="mail")], front=True)
    backend.publish([a_message(queue="mail", priority=0)])

    assert (4, ["mail"]) == (backend.depth("mail"), names(sqs.client()))
    assert 2 == len([one for one in caplog.records if "goes to 'mail'" in one.getMessage()])


def test_queues_that_are_given_need_no_look(stage: Stage, sqs: SqsServer):
    """Neither for finding nor for making: whoever may only send, receive and delete is served."""
    client = sqs.client()
    given = {
        part: client.create_queue(QueueName=f"prod-{part}-x")["QueueUrl"]
        for part in ("mail", "mail-high", "mail-front")
    }
    stage.meddler.meddle = lambda action, words: (
        error("AccessDenied", 403) if action in ("CreateQueue", "GetQueueUrl", "ListQueues") else None
    )
    bridge = stage.bridge(
        "shop", backends={"shop": BackendSettings(engine="celery", broker_url=stage.meddler.url, queues=given)}
    )
    backend = bridge.backend("shop")

    backend.publish([a_message(queue="mail")])
    backend.publish([a_message(queue="mail", priority=9)])
    fetched = backend.consumer(["mail"], "me", bridge.store).fetch(10)

    assert [9] == [one.message.priority for one in fetched if one.message]
    assert 1 == len(bodies(client, "prod-mail-x"))


def test_a_fifo_queue_is_refused_with_the_reason(stage: Stage):
    """It is told by its URL."""
    settings = BackendSettings(engine="celery", broker_url="sqs://", queues={"mail": "https://sqs/1/mail.fifo"})

    with pytest.raises(ConfigError, match=r"queues.mail: .* FIFO queue, which .* use lock="):
        stage.bridge("shop", backends={"shop": settings}).backend("shop")


def test_the_engines_never_share_a_queue(stage: Stage, sqs: SqsServer):
    """Of one name, each has its own."""
    for engine in SUFFIX:
        stage.backend(engine).publish([a_message(queue="mail")])

    assert ["mail", "mail-dramatiq"] == names(sqs.client())
    assert [1, 1] == [stage.backend(engine).depth("mail") for engine in SUFFIX]


def test_the_depth_of_a_queue_is_that_of_all_its_parts(stage: Stage, engine: str):
    """Also of one that is not there: nothing."""
    backend = stage.backend(engine)
    assert 0 == backend.depth("mail")

    backend.publish([a_message(queue="mail", priority=priority) for priority in (0, 5, 5, 9)])
    backend.publish([a_message(queue="mail")], front=True)

    assert 5 == backend.depth("mail")
    assert [] == list(backend.scan("mail", 10))
    assert not backend.capabilities.scan


def test_a_prefix_is_in_every_name(stage: Stage, sqs: SqsServer):
    """So that two services may use one account."""
    backend: Backend = stage.backend(queue_prefix="shop_")
    backend.publish([a_message(queue="mail")])

    assert ["shop_mail"] == names(sqs.client())
