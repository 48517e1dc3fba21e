"""Taskbridge tasks inside Dramatiq: its middleware in our children.

Dramatiq's own policies are off (no retries, no age limit, no time limit): the core decides. A team's own middleware
(``DramatiqBackend.middleware``) runs as ever: Sentry, results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.broker import Broker, MessageProxy
from dramatiq.errors import Retry as DramatiqRetry
from dramatiq.middleware import SkipMessage

from taskbridge.backend import Delivery
from taskbridge.definition import Definition, Definitions
from taskbridge.errors import TaskbridgeError
from taskbridge.outcome import Again, Done, Ended, Outcome

Attempt = Callable[[], Outcome]


class DramatiqRunner:
    """Runs attempts inside Dramatiq's middleware, in one of our children.

    Args:
        broker: Dramatiq's, with its middleware; only what that sends goes through it.
        name_of: says what Dramatiq calls a queue.
        definitions: the tasks.
    """

    def __init__(self, broker: Broker, name_of: Callable[[str], str], definitions: Definitions) -> None:
        self._broker = broker
        for definition in definitions.values():
            declare(broker, definition, name_of(definition.options.queue), definition.function)

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
                self._broker.emit_after("process_message", message, result=None)
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


def declare(broker: Broker, definition: Definition, queue_name: str, run: Callable[..., Any]) -> None:
    """Give Dramatiq an actor of this name, on the queue that it calls so, whose body is ``run``."""
    actor = dramatiq.actor(broker=broker, actor_name=definition.name, queue_name=queue_name)
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
