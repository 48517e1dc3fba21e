"""What is allowed and unwise in how tasks are declared; ``check`` and a worker's start tell it."""

from __future__ import annotations

from ..bridge import Bridge
from ..definition import Definition
from ..errors import nearest
from ..options import Timeouts


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
