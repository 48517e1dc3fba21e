"""What Celery is told of each kind of broker, as its own settings. Every policy of its own is off in all of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from taskbridge.backend import VISIBILITY_MS, Place
from taskbridge.config import BROKERS
from taskbridge.rabbitmq.address import parse
from taskbridge.redis.url import scheme
from taskbridge.sqs.client import POLL_S
from taskbridge.sqs.names import Names
from taskbridge.sqs.queues import ATTRIBUTES, VISIBILITY_S
from taskbridge.sqs.url import parse as parse_sqs

#: How often kombu looks whether it may poll SQS again while all it may hold is held, seconds; with 0 it never rests.
#: Source: kombu 5.7 transport/SQS, ``_loop1``.
POLLING_INTERVAL_S = 0.02


def of_broker(place: Place) -> dict[str, Any]:
    """Return the settings of the broker where a backend stands, its URL among them."""
    return {"redis": _redis, "rabbitmq": _rabbitmq, "sqs": _sqs}[BROKERS[scheme(place.broker_url)]](place)


def _redis(place: Place) -> dict[str, Any]:
    keys = f"{{{place.namespace}}}:celery:"
    return {
        "broker_url": place.broker_url,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_MS // 1000,
            "unacked_key": keys + "unacked",
            "unacked_index_key": keys + "unacked_index",
            "unacked_mutex_key": keys + "unacked_mutex",
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_keepalive": True,
        },
    }


def _rabbitmq(place: Place) -> dict[str, Any]:
    """What is published is confirmed; two workers of one name are not shut out; queues are of the URL's type."""
    address = parse(place.broker_url)
    login = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}"
    scheme = "amqps" if address.tls is not None else "amqp"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return {
        "broker_url": f"{scheme}://{login}@{host}:{address.port}/{quote(address.vhost, safe='')}",
        "broker_use_ssl": dict(address.tls) if address.tls is not None else None,
        "broker_heartbeat": address.heartbeat_s,
        "broker_transport_options": {"confirm_publish": True},
        "control_queue_exclusive": False,
        "task_default_queue_type": address.queue_type,
        "task_create_missing_queue_type": address.queue_type,
    }


def _sqs(place: Place) -> dict[str, Any]:
    """Long polls, and queues as ours are when kombu makes them. Source: kombu 5.7 transport/SQS."""
    address, names = parse_sqs(place.broker_url), Names(prefix=place.queue_prefix)
    login = f"{quote(address.key, safe='')}:{quote(address.secret, safe='')}@" if address.key else ""
    options: dict[str, Any] = {
        "is_secure": address.secure,
        "visibility_timeout": VISIBILITY_S,
        "wait_time_seconds": POLL_S,
        "polling_interval": POLLING_INTERVAL_S,
        "sqs-creation-attributes": ATTRIBUTES,
    }
    options |= {"region": address.region} if address.region else {}
    given = {name: {"url": url} for name, url in names.given(place.queues).items()}
    options |= {"predefined_queues": given} if given else {}
    return {
        "broker_url": f"sqs://{login}{address.endpoint.partition('://')[2]}//",
        "broker_transport_options": options,
    }
