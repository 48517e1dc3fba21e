"""Which engine on which broker, by words; what cannot be is refused with what to say instead."""

from __future__ import annotations

import pytest

from taskbridge import Settings
from taskbridge.comparison.sides import KINDS, Side, sides_of
from taskbridge.config import BROKERS, BackendSettings
from taskbridge.errors import ConfigError

REDIS, SQS = "redis://localhost:6399/0", "sqs://"


def sides(words: str, store_url: str = "", settings: Settings | None = None, **urls: str) -> list[Side]:
    return sides_of(words.split(","), urls, store_url, settings or Settings(broker_url=REDIS))


def test_every_kind_of_broker_can_be_asked_for():
    """By the names that URLs have."""
    assert set(BROKERS.values()) == set(KINDS)
    assert list(KINDS) == [BROKERS[url.partition(":")[0]] for url in KINDS.values()]


def test_a_side_is_an_engine_on_a_broker():
    """On the URL of its kind; the store of one that is on Redis is that Redis, and that of another the one there is."""
    redis, sqs, rabbitmq = sides("celery+redis,dramatiq+sqs,celery+rabbitmq", sqs=SQS, rabbitmq="amqp://there")

    assert ("celery", "redis", REDIS, REDIS) == (redis.engine, redis.broker, redis.broker_url, redis.store_url)
    assert ("dramatiq", "sqs", SQS, REDIS) == (sqs.engine, sqs.broker, sqs.broker_url, sqs.store_url)
    assert ("rabbitmq", "amqp://there", REDIS) == (rabbitmq.broker, rabbitmq.broker_url, rabbitmq.store_url)


def test_an_engine_alone_is_on_the_broker_of_the_settings():
    """And is called by both."""
    assert ["celery+redis", "dramatiq+redis"] == [side.name for side in sides("celery,dramatiq+redis")]


def test_a_url_that_is_given_goes_before_the_settings():
    """For broker and store."""
    (side,) = sides("celery+redis", redis="redis://other/1", store_url="redis://store/2")

    assert ("redis://other/1", "redis://store/2") == (side.broker_url, side.store_url)


def test_a_backend_of_the_settings_is_a_side():
    """By its name, on its own broker."""
    named = {"old": BackendSettings(engine="celery", broker_url="redis://old/3")}
    (side,) = sides("old", settings=Settings(broker_url=REDIS, backends=named))

    assert ("old", "celery", "redis://old/3", "redis://old/3") == (
        *(side.name, side.engine),
        *(side.broker_url, side.store_url),
    )


def test_a_side_can_be_compared_with_itself():
    """To see how far equal sides lie apart: they are told apart by a number."""
    assert ["celery+redis", "celery+redis (2)"] == [side.name for side in sides("celery,celery+redis")]


@pytest.mark.parametrize(
    ("words", "urls", "why"),
    [
        ("celeryy+redis", {}, "no backend is called 'celeryy'; did you mean 'celery'?"),
        ("celery+reddis", {}, "no broker is called 'reddis'; did you mean 'redis'?"),
        ("celery+sqs", {}, "where is the broker? Say --sqs URL, such as --sqs sqs://"),
        ("memory", {}, "the memory backend lives in one process"),
        ("celery+redis", {"redis": "amqp://u:hush@there"}, "--redis: expected a URL such as redis://"),
        ("celery+redis", {"redis": "nowhere"}, "expected a URL such as redis://"),
    ],
)
def test_what_cannot_be_is_refused(words: str, urls: dict[str, str], why: str):
    """And no password is told."""
    with pytest.raises(ConfigError) as refused:
        sides(words, **urls)

    assert why in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_store_is_needed():
    """Where nothing that is named is a Redis."""
    with pytest.raises(ConfigError, match="say --store URL"):
        sides("celery+sqs", settings=Settings(broker_url=SQS))


def test_at_least_one_is_asked_for():
    """A comma alone asks for none."""
    with pytest.raises(ConfigError, match="expected one or more backends such as"):
        sides_of([], {}, "", Settings())
