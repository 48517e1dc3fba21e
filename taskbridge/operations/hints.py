"""What is allowed and unwise in how tasks are declared; ``check`` and a worker's start tell it."""

from __future__ import annotations

from ..backend import Backend
from ..bridge import Bridge
from ..definition import Definition
from ..errors import nearest
from ..message import Message
from ..options import Timeouts
from ..policies.timeout import timeouts_for

#: A broker looks only so often whether its patience is over, and a message waits in a hand before it is begun, seconds.
#: Source: RabbitMQ 3.10 ``channel_tick_interval``; measured.
MARGIN_S = 62.0


def hints(bridge: Bridge) -> list[str]:
    """Return a sentence for each task that could make others wait without end, and each schedule nobody here sends."""
    default = bridge.settings.timeouts
    found = [hint for definition in bridge.definitions.values() if (hint := _hint(definition, default))]
    return found + [
        f"schedules.{name}: no task here is called {entry.task!r}{nearest(entry.task, bridge.definitions)}; "
        f"a worker that has it declares the schedule, or name its queue="
        for name, entry in bridge.settings.schedules.items()
        if bridge.definitions and entry.task not in bridge.definitions and not entry.queue
    ]


def _hint(definition: Definition, default: Timeouts) -> str:
    waited_for = [lock for lock in definition.options.locks if lock.on_conflict == "wait"]
    asked = definition.options.timeouts
    bounded = asked.soft_ms or asked.hard_ms or default.soft_ms or default.hard_ms
    if not waited_for or bounded:
        return ""
    return (
        f"{definition.name}: others wait for its lock, and it has no timeout: if it hangs, so do they; give it timeout="
    )


def patience_hints(backend: Backend, bridge: Bridge) -> list[str]:
    """Return a sentence for each task that may run for longer than a backend's broker waits for an acknowledgement."""
    default = bridge.settings.timeouts
    return [hint for one in bridge.definitions.values() if (hint := patience_hint(one, backend, default))]


def patience_hint(definition: Definition, backend: Backend, default: Timeouts) -> str:
    """Return that sentence for one task; empty where its broker waits for long enough."""
    patience_s, longest_s = backend.capabilities.patience_s, _longest_s(definition, default)
    if not patience_s or longest_s + MARGIN_S <= patience_s:
        return ""
    return (
        f"{definition.name} may run {longest_s:g} s, and the broker waits {patience_s:g} s for an acknowledgement: "
        "under taskbridge worker it runs once and costs a connection, under the engine's own command it may run "
        f"again and end the worker; raise the broker's consumer_timeout above {longest_s + MARGIN_S:g} s, and say so "
        "in the URL: ?consumer_timeout="
    )


def _longest_s(definition: Definition, default: Timeouts) -> float:
    """How long a task may run as far as it is limited; 0 where it is not."""
    timeouts = timeouts_for(Message(id="", task=definition.name, queue=""), definition.options, default)
    longest_ms = timeouts.hard_ms or timeouts.soft_ms
    return longest_ms / 1000 if longest_ms else -MARGIN_S
