"""Copies that shadows send beside their originals, to be run once and compared.

A copy never holds up or loses an original: it goes after it, what is wrong with that is logged and told, and a backend
that did not take one is left alone for a while. Spans are milliseconds unless the name says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from .backend import Backend
from .clock import Clock
from .events import Events, Shadowed
from .message import MAX_ID_BYTES, Message, Shadow
from .routing import Router

log = logging.getLogger("taskbridge")

#: A copy is worth running for so long: an hour.
LIFE_MS = 3_600_000

#: How long a backend that took no copy is left alone: the first time, and at most, doubling in between. Seconds.
PAUSE_S, LONGEST_PAUSE_S = 10.0, 60.0

#: Behind the id of the original.
SUFFIX = "~shadow"


class Copies:
    """Makes and sends copies; one for all threads of a process.

    Args:
        backend: returns a backend by its name.
        clock: paces what is tried again.
        events: told of copies that are not sent.
    """

    def __init__(self, backend: Callable[[str], Backend], clock: Clock, events: Events) -> None:
        self._backend = backend
        self._clock = clock
        self._events = events
        self._pauses: dict[str, tuple[float, float]] = {}

    def of(self, routed: dict[str, list[Message]], router: Router) -> dict[str, list[Message]]:
        """Return the copies that these messages have, by the backend that they go to; the messages are marked for it.

        Args:
            routed: messages by the backend that carries them; those that have a copy are replaced.
            router: knows the shadows.
        """
        copies: dict[str, list[Message]] = {}
        for carrier, messages in routed.items():
            for n, message in enumerate(messages):
                shadow = router.shadow_of(message, carrier)
                if shadow is None:
                    continue
                if self._rests(shadow.to):
                    self._tell([message], shadow.to, "its broker did not take the last one")
                    continue
                copies.setdefault(shadow.to, []).append(copy_of(message, shadow.id))
                messages[n] = message.copy(shadow=Shadow(rule=shadow.id))
        return copies

    def send(self, copies: dict[str, list[Message]]) -> None:
        """Send copies. Whatever is wrong with that is logged and told, and raised to nobody."""
        for name, some in copies.items():
            if not some:
                continue
            try:
                self._backend(name).publish(some)
            except Exception as error:  # whatever a broker or an engine raises: the originals are sent
                pause_s = min(self._pauses.get(name, (0.0, PAUSE_S / 2))[1] * 2, LONGEST_PAUSE_S)
                self._pauses[name] = self._clock.monotonic_s() + pause_s, pause_s
                text = "%d copies are not sent to %s, which has none for %.0f s: %s"
                log.warning(text, len(some), name, pause_s, error)
                self._tell(some, name, f"{type(error).__name__}: {error}")
            else:
                self._pauses.pop(name, None)

    def _rests(self, name: str) -> bool:
        return name in self._pauses and self._clock.monotonic_s() < self._pauses[name][0]

    def _tell(self, messages: Sequence[Message], backend: str, why: str) -> None:
        if self._events.hears(Shadowed):
            for one in messages:
                id = one.shadow.of if one.shadow else one.id
                told = Shadowed(id=id, task=one.task, queue=one.queue, backend=backend, how="unsent", why=why)
                self._events.emit(told)


def copy_of(message: Message, rule: str) -> Message:
    """Return the copy of a message: its call, where and when it is, and nothing of what it is part of."""
    until_ms = message.ready_at_ms + LIFE_MS
    return Message(
        id=_id_of(message.id),
        task=message.task,
        queue=message.queue,
        args=message.args,
        kwargs=message.kwargs,
        enqueued_at_ms=message.enqueued_at_ms,
        due_at_ms=message.due_at_ms,
        expires_at_ms=min(message.expires_at_ms or until_ms, until_ms),
        priority=message.priority,
        released_at_ms=message.released_at_ms,
        timeout_ms=message.timeout_ms,
        hard_timeout_ms=message.hard_timeout_ms,
        tags=message.tags,
        shadow=Shadow(rule=rule, of=message.id),
    )


def _id_of(id: str) -> str:
    whole = id + SUFFIX
    if len(whole.encode()) <= MAX_ID_BYTES:
        return whole
    import hashlib

    return "sha256-" + hashlib.sha256(whole.encode()).hexdigest()
