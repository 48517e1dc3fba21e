"""Dramatiq's own broker on SQS, of dramatiq-sqs, for its own command."""

from __future__ import annotations

from typing import Any

from dramatiq.broker import Broker
from dramatiq.middleware import Middleware

from taskbridge.backend import Place
from taskbridge.errors import BackendNotInstalled
from taskbridge.sqs.names import Names
from taskbridge.sqs.queues import VISIBILITY_S
from taskbridge.sqs.url import parse


def own_sqs(place: Place, names: Names, middleware: list[Middleware]) -> Broker:
    """Return it: what was fetched comes back within a minute, and queues that are given are used.

    Source: dramatiq-sqs 0.4 broker.py.

    Raises:
        BackendNotInstalled: dramatiq-sqs is missing.
    """
    try:
        from dramatiq_sqs import SQSBroker
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"Dramatiq itself needs the package {error.name!r} to stand on SQS: pip install dramatiq-sqs"
        ) from error
    address = parse(place.broker_url)
    given = names.given(place.queues)

    class Given(SQSBroker):
        def _get_or_create_sqs_queue(self, sqs_queue_name: str, **options: Any) -> Any:
            if url := given.get(sqs_queue_name):
                return self.sqs.Queue(url)
            return super()._get_or_create_sqs_queue(sqs_queue_name, **options)

    keys = {"aws_access_key_id": address.key, "aws_secret_access_key": address.secret} if address.key else {}
    return Given(
        middleware=middleware,
        visibility_timeout=VISIBILITY_S,
        endpoint_url=address.endpoint or None,
        region_name=address.region or None,
        **keys,
    )
