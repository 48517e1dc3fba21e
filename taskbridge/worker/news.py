"""What happens in the supervisor, told to users' listeners: they live in the children, for it has none of their code.

A task that is ended at its hard timeout, and what the relay sends, are told of there. The supervisor subscribes like a
user: in a thread of its own, so that nothing waits for it. Each event is one datagram to whichever child takes it.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

import msgspec

from ..bridge import Bridge
from ..events import KINDS, Event

#: How long the children may take to read, seconds: they are few, and only put what they read into a queue.
PATIENCE_S = 1.0

#: An error is cut to so many characters, and a datagram is no longer than so many bytes.
MOST_OF_WHY = 10_000
MOST = 131_072


class Teller:
    """The supervisor's end: a listener of its events."""

    def __init__(self, channel: socket.socket) -> None:
        channel.settimeout(PATIENCE_S)
        self._channel = channel

    def tell(self, event: Event) -> None:
        """Pass an event on, without its exception.

        Raises:
            OSError: no child takes it.
        """
        fields = msgspec.structs.asdict(event)
        fields.pop("error", None)
        if "why" in fields:
            fields["why"] = fields["why"][:MOST_OF_WHY]
        self._channel.send(msgspec.json.encode([type(event).__name__, fields]))


class Hearer:
    """A child's end; it shares it with all the others.

    Args:
        channel: from the supervisor.
        bridge: whose subscribers are told.
    """

    def __init__(self, channel: socket.socket, bridge: Bridge) -> None:
        self._channel = channel
        self._bridge = bridge
        self._telling = threading.Lock()

    def start(self) -> None:
        """Hear, in a thread, if anybody here wants to."""
        if any(map(self._bridge.subscribers.hears, KINDS.values())):
            threading.Thread(target=self._hear, name="news", daemon=True).start()

    def rest(self) -> None:
        """Tell what is there: this child ends."""
        with self._telling, suppress(BlockingIOError):
            while True:
                self._tell_next()

    def _hear(self) -> None:
        while True:
            select.select([self._channel], [], [])
            with self._telling, suppress(BlockingIOError):  # another child was faster
                self._tell_next()

    def _tell_next(self) -> None:
        kind, fields = msgspec.json.decode(self._channel.recv(MOST, socket.MSG_DONTWAIT))
        self._bridge.subscribers.tell(KINDS[kind](**fields))
