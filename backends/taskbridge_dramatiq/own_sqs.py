"""Dramatiq's own broker on SQS, of dramatiq-sqs, for its own command."""

from __future__ import annotations

from functools import partial
from typing import Any

from dramatiq.broker import Broker
from dramatiq.middleware import Middleware

from taskbridge.backend import Place
from taskbridge.errors import BackendNotInstalled
from taskbridge.sqs.broker import SqsBroker
from taskbridge.sqs.queues import VISIBILITY_S
from taskbridge.sqs.url import parse


def own_sqs(place: Place, ours: SqsBroker, middleware: list[Middleware]) -> Broker:
    """Return it: what was fetched is hidden for as long as its worker lives, and comes back within a minute after that.

    Queues are found, made or missed as by our own.

    Source: dramatiq-sqs 0.4 broker.py.

    Raises:
        BackendNotInstalled: dramatiq-sqs is missing.
    """
    try:
        from dramatiq_sqs import SQSBroker

        from .own_held import Consumer, Held
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"Dramatiq itself needs the package {error.name!r} to stand on SQS: pip install dramatiq-sqs"
        ) from error
    address, held = parse(place.broker_url), Held(ours.hide, VISIBILITY_S)

    class Given(SQSBroker):
        @property
        def consumer_class(self) -> Any:
            return partial(Consumer, held)

        def _get_or_create_sqs_queue(self, sqs_queue_name: str, **options: Any) -> Any:
            return self.sqs.Queue(ours.queues.named(sqs_queue_name))

    keys = {"aws_access_key_id": address.key, "aws_secret_access_key": address.secret} if address.key else {}
    return Given(
        middleware=middleware,
        visibility_timeout=VISIBILITY_S,
        endpoint_url=address.endpoint or None,
        region_name=address.region or None,
        **keys,
    )
