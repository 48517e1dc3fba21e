"""Taskbridge tasks inside Dramatiq: its middleware in our children, and a broker for its own command.

Dramatiq's own policies are off (no retries, no age limit, no time limit): the core decides. A team's own middleware
(``DramatiqBackend.middleware``) runs as ever: Sentry, results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dramatiq
from dramatiq.broker import Broker, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import Retry as DramatiqRetry
from dramatiq.middleware import Callbacks, CurrentMessage, Middleware, Pipelines, SkipMessage

from taskbridge.backend import Delivery, Place
from taskbridge.broker import KINDS
from taskbridge.definition import Definition, Definitions
from taskbridge.errors import BackendNotInstalled, TaskbridgeError
from taskbridge.outcome import Again, Done, Ended, Outcome
from taskbridge.redis.url import scheme
from taskbridge.sqs.queues import VISIBILITY_S
from taskbridge.sqs.url import parse

from .brokers import NAMING, Naming, sqs_names

Attempt = Callable[[], Outcome]

#: Its own workers: silent for so long is dead (ms), and out of a million commands so many look for the dead.
#: The defaults (60 s, 1,000) take minutes on a quiet queue; a live one that was silent is recognised by the store.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_CHANCE = 100_000


class DramatiqRunner:
    """Runs attempts inside Dramatiq's middleware, in one of our children."""

    def __init__(self, place: Place, middleware: Sequence[Middleware], definitions: Definitions) -> None:
        self._broker = _IN_CHILDREN[kind_of(place)](place, middleware_of(*middleware))
        for definition in definitions.values():
            declare(self._broker, definition, place, definition.function)

    def start(self) -> None:
        dramatiq.set_broker(self._broker)
        self._broker.emit_after("process_boot")

    def run(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        if delivery.message is None or delivery.message.task not in self._broker.actors:
            return attempt()
        message: MessageProxy = MessageProxy(dramatiq.Message.decode(delivery.raw))
        outcome: Outcome | None = None
        try:
            self._broker.emit_before("process_message", message)
            if message.failed:
                return Ended(how="dead", why="a middleware of Dramatiq's failed the message")
            outcome = attempt()
            result = spoken(outcome)
            self._broker.emit_after("process_message", message, result=result)
        except SkipMessage as skipped:
            self._broker.emit_after("skip_message", message)
            outcome = outcome or Ended(how="dropped", why=f"skipped by a middleware of Dramatiq's: {skipped}")
        except BaseException as error:
            message.stuff_exception(error)
            self._broker.emit_after("process_message", message, exception=error)
            if outcome is None:
                raise
        finally:
            message.clear_exception()
        return outcome

    def stop(self) -> None:
        self._broker.close()


class Later(Broker):
    """A broker in one of our children: actors and middleware now, Dramatiq's transport when a task sends by it."""

    def __init__(self, place: Place, middleware: list[Middleware]) -> None:
        super().__init__(middleware=middleware)
        self._place = place
        self._transport: Broker | None = None

    def declare_queue(self, queue_name: str) -> None:
        self.queues.setdefault(queue_name, None)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        if self._transport is None:
            self._transport = _TRANSPORTS[kind_of(self._place)](self._place, self.middleware)
        self._transport.declare_queue(message.queue_name)
        return self._transport.enqueue(message, delay=delay)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def new_broker(place: Place, *more: Middleware) -> Broker:
    """Return a broker of Dramatiq's with every policy of its own off.

    Raises:
        BackendNotInstalled: the package of its transport is missing.
    """
    return _TRANSPORTS[kind_of(place)](place, middleware_of(*more))


def middleware_of(*more: Middleware) -> list[Middleware]:
    """Return what every message passes: what Dramatiq itself needs, then the team's own."""
    return [CurrentMessage(), Callbacks(), Pipelines(), *more]


def kind_of(place: Place) -> str:
    """Return which kind of broker a backend stands on."""
    return KINDS[scheme(place.broker_url)]


def naming_of(place: Place) -> Naming:
    """Return what Dramatiq calls its queues there."""
    return NAMING[kind_of(place)](place)


def _on_redis(place: Place, middleware: list[Middleware]) -> Broker:
    return RedisBroker(  # type: ignore[no-untyped-call]
        url=place.broker_url,
        middleware=middleware,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )


def _on_sqs(place: Place, middleware: list[Middleware]) -> Broker:
    """Return dramatiq-sqs's broker: what was fetched comes back within a minute, and queues that are given are used.

    Source: dramatiq-sqs 0.4 broker.py.
    """
    try:
        from dramatiq_sqs import SQSBroker
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"Dramatiq itself needs the package {error.name!r} to stand on SQS: pip install dramatiq-sqs"
        ) from error
    address = parse(place.broker_url)
    given = sqs_names(place).given(place.queues)

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


#: Dramatiq's transport on each kind of broker.
_TRANSPORTS: dict[str, Callable[[Place, list[Middleware]], Broker]] = {"redis": _on_redis, "sqs": _on_sqs}

#: The same in our children, which send by it only where a task does: boto reads much, and asks for keys at once.
_IN_CHILDREN = _TRANSPORTS | {"sqs": Later}


def declare(broker: Broker, definition: Definition, place: Place, run: Callable[..., Any]) -> None:
    """Give Dramatiq an actor of this name whose body is ``run``, and the queues that its messages may lie in."""
    first, *others = naming_of(place).all_of(definition.options.queue)
    actor = dramatiq.actor(broker=broker, actor_name=definition.name, queue_name=first)
    actor(run)
    for name in others:
        broker.declare_queue(name)


def spoken(outcome: Outcome) -> Any:
    """Say an outcome in Dramatiq's words: return it, or raise what its middleware and integrations understand."""
    if isinstance(outcome, Done):
        return outcome.result
    if isinstance(outcome, Again) and outcome.counted:
        raise DramatiqRetry(outcome.why, delay=outcome.after_ms)
    if isinstance(outcome, Ended) and outcome.how == "dead":
        raise outcome.error or TaskbridgeError(outcome.why)
    raise SkipMessage(getattr(outcome, "why", ""))
