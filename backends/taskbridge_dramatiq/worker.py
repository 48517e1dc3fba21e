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
from taskbridge.definition import Definition, Definitions
from taskbridge.errors import TaskbridgeError
from taskbridge.outcome import Again, Done, Ended, Outcome

Attempt = Callable[[], Outcome]

#: Its own workers: silent for so long is dead (ms), and out of a million commands so many look for the dead.
#: The defaults (60 s, 1,000) take minutes on a quiet queue; a live one that was silent is recognised by the store.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_CHANCE = 100_000


class DramatiqRunner:
    """Runs attempts inside Dramatiq's middleware, in one of our children."""

    def __init__(self, place: Place, middleware: Sequence[Middleware], definitions: Definitions) -> None:
        self._broker = new_broker(place, *middleware)
        for definition in definitions.values():
            declare(self._broker, definition, place.queue_prefix, definition.function)

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


def new_broker(place: Place, *more: Middleware) -> RedisBroker:
    """Return a broker of Dramatiq's with every policy of its own off."""
    return RedisBroker(  # type: ignore[no-untyped-call]
        url=place.broker_url,
        middleware=[CurrentMessage(), Callbacks(), Pipelines(), *more],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )


def declare(broker: Broker, definition: Definition, prefix: str, run: Callable[..., Any]) -> None:
    """Give Dramatiq an actor of this name whose body is ``run``."""
    actor = dramatiq.actor(broker=broker, actor_name=definition.name, queue_name=prefix + definition.options.queue)
    actor(run)


def spoken(outcome: Outcome) -> Any:
    """Say an outcome in Dramatiq's words: return it, or raise what its middleware and integrations understand."""
    if isinstance(outcome, Done):
        return outcome.result
    if isinstance(outcome, Again) and outcome.counted:
        raise DramatiqRetry(outcome.why, delay=outcome.after_ms)
    if isinstance(outcome, Ended) and outcome.how == "dead":
        raise outcome.error or TaskbridgeError(outcome.why)
    raise SkipMessage(getattr(outcome, "why", ""))
