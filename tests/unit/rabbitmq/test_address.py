"""URLs of RabbitMQ: what each part means, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection

from taskbridge.backend import Place
from taskbridge.errors import ConfigError
from taskbridge.rabbitmq.address import parse
from taskbridge_celery.settings import of_broker


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://localhost", {"host": "localhost", "port": 5672, "user": "guest", "vhost": "/", "tls": None}),
        ("amqp://localhost/", {"vhost": "/"}),
        ("amqp://localhost//", {"vhost": "/"}),
        ("amqp://localhost/%2F", {"vhost": "/"}),
        ("amqp://ann:p%40ss@mq:5000/bank", {"user": "ann", "password": "p@ss", "port": 5000, "vhost": "bank"}),
        ("amqp://mq/?heartbeat=0&timeout=2.5", {"heartbeat_s": 0.0, "timeout_s": 2.5}),
        ("amqp://mq/?queue_type=quorum&queue_suffix=", {"queue_type": "quorum", "queue_suffix": ""}),
        ("amqp://mq/", {"queue_type": "classic", "queue_suffix": None, "heartbeat_s": 20.0}),
        ("amqps://mq", {"port": 5671, "tls": {"server_hostname": "mq"}}),
        ("amqps://mq?ssl_ca_certs=/ca.pem", {"tls": {"server_hostname": "mq", "ca_certs": "/ca.pem"}}),
    ],
)
def test_each_part_of_a_url_means_something(url: str, expected: dict[str, Any]):
    """As AMQP's clients write it, with options of ours."""
    address = parse(url)

    assert expected == {name: getattr(address, name) for name in expected}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://:hush@/", "expected one host"),
        ("amqp://a:hush@one,two/", "a cluster is reached by the address of its balancer"),
        ("amqp://a:hush@mq:port/", "expected amqp://user:password@host:5672/vhost"),
        ("amqp://a:hush@mq/?heartbeats=5", "no option is called 'heartbeats'; did you mean 'heartbeat'"),
        ("amqp://a:hush@mq/?heartbeat=soon", "heartbeat: expected 0, or 1 to 600 seconds, got 'soon'"),
        ("amqp://a:hush@mq/?heartbeat=0.5", "heartbeat: expected 0, or 1 to 600 seconds, got '0.5'"),
        ("amqp://a:hush@mq/?timeout=0", "timeout: expected 0.1 to 300 seconds, got '0'"),
        ("amqp://a:hush@mq/?queue_type=stream", "queue_type: expected classic or quorum, got 'stream'"),
        ("amqp://a:hush@mq/?ssl_ca_certs=/ca.pem", "ssl_ca_certs is for amqps://"),
    ],
)
def test_what_cannot_be_is_refused_without_the_password(url: str, says: str):
    """It says what was expected, and what came."""
    with pytest.raises(ConfigError) as caught:
        parse(url)

    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["amqp://ann:p%40ss@mq:5000/bank", "amqp://[::1]:5000/", "amqps://mq/a%2Fb"])
def test_celery_is_told_the_same(url: str):
    """Its own command reads the URL that it is given as we read ours."""
    address = parse(url)

    with Connection(of_broker(Place(name="celery", broker_url=url, namespace="unit"))["broker_url"]) as theirs:
        told = theirs.hostname, theirs.port, theirs.userid, theirs.password, theirs.virtual_host

    assert (address.host, address.port, address.user, address.password, address.vhost) == told


def test_an_address_does_not_show_its_password():
    """Neither does its representation."""
    assert "hush" not in repr(parse("amqp://a:hush@mq/"))
