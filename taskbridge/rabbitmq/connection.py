"""One connection to RabbitMQ: every wait is bounded, every error is ours, and a fault ends it whole.

It is dropped, never closed politely: a broker that does not read would be waited for. Not for two threads at once,
but for heartbeats, whose frames py-amqp writes under a lock (5.4 and later).
"""

from __future__ import annotations

import re
import select
import socket
import struct
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import amqp
from amqp import spec

from ..clock import SystemClock
from ..errors import BrokerUnavailable, ConfigError, PayloadTooLarge, TaskbridgeError
from .address import Address
from .content import Content, frames
from .queues import Queue
from .reader import Reader

#: What py-amqp raises. ``struct.error``: a value that its frames cannot hold.
ERRORS = (amqp.AMQPError, OSError, struct.error)

#: Refusals that stay: who we are, or what we ask, must change.
_REFUSED = (amqp.AccessRefused, amqp.NotAllowed, amqp.InvalidPath, amqp.PreconditionFailed)

#: What it says of a message whose body, or whose headers, it never takes.
#: Source: RabbitMQ 3.10 ``rabbit_channel.erl`` (``max_message_size``) and ``rabbit_reader.erl`` (``frame_max``).
_LARGE = re.compile(r"message size \d+ .*max size|frame_too_large")

#: Arguments of methods, in py-amqp's words. Source: AMQP 0-9-1; amqp 5.4 ``channel.py``.
_GET, _DECLARE, _CONSUME, _CANCEL = "Bsb", "BsbbbbbF", "BssbbbbF", "sb"

_clock = SystemClock()


class NotMade(ConfigError):
    """A queue does not exist, and we may not make it.

    Args:
        why: in words.
        name: of the queue.
    """

    def __init__(self, why: str, name: str) -> None:
        super().__init__(why)
        self.name = name


class Connection:
    """A connection, and the channel that messages travel by.

    ``delivered`` is called with what is pushed: consumer, tag, content.

    Args:
        address: where to.
        heartbeat_s: what is offered to the broker; 0 is none.

    Raises:
        BrokerUnavailable: nobody answers there.
        ConfigError: we are refused.
    """

    def __init__(self, address: Address, *, heartbeat_s: float = 0.0) -> None:
        self.address = address
        self.blocked = False
        self.delivered: Callable[[str, int, Content], None] = _unheard
        self._socket: Any = None
        self._amqp = amqp.Connection(
            f"{address.host}:{address.port}",
            userid=address.user,
            password=address.password,
            login_method="PLAIN",
            virtual_host=address.vhost,
            ssl=dict(address.tls) if address.tls is not None else False,
            connect_timeout=address.timeout_s,
            heartbeat=heartbeat_s,
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
            socket_settings=_patience(address.timeout_s),
            frame_handler=partial(frames, self._deliver),
            client_properties={"product": "taskbridge"},
        )
        with self.speaking():
            self._amqp.connect()
            self._amqp.sock.settimeout(address.timeout_s)  # of one read or write, whatever py-amqp asks for
            self._reader = Reader(self._amqp.sock)
            self._amqp.transport.read_frame = self._reader.read_frame
            self.channel = self._amqp.channel()
            self._aside = self._amqp.channel()
        self._socket = self._amqp.sock
        weakref.finalize(self, self._socket.close)  # of one that nobody closes: closed, not shut down, for forks' sake
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Translate what goes wrong inside, and drop the connection."""
        try:
            yield
        except BaseException as error:
            self.drop()
            if isinstance(error, ERRORS):
                raise self._translated(error) from error
            raise

    @property
    def lives(self) -> bool:
        """Whether it was not dropped."""
        return bool(self._amqp.connected)

    @property
    def ear(self) -> int:
        """What becomes readable when the broker says something."""
        return int(self._socket.fileno())

    def drop(self) -> None:
        """Close the socket and forget everything."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.settimeout(0.0)  # TLS would take its leave, and wait for the answer
        if self._amqp.channels is not None:
            self._amqp.collect()

    def wait(self, missing: Callable[[], int]) -> None:
        """Handle what comes until no answer is missing.

        Raises:
            OSError: the next one took longer than one answer may.
        """
        left = missing()
        deadline_s = _clock.monotonic_s() + self.address.timeout_s
        while left:
            if _clock.monotonic_s() > deadline_s:
                raise TimeoutError(f"no answer within {self.address.timeout_s:g} s")
            self._amqp.blocking_read()
            if (now_left := missing()) != left:
                left, deadline_s = now_left, _clock.monotonic_s() + self.address.timeout_s

    def hear(self) -> None:
        """Handle what has come, without waiting for more."""
        while True:
            while (frame := self._reader.next()) is not None:
                self._amqp.on_inbound_frame(frame)
            if not self._readable():
                return
            self._reader.more()

    def rest(self, seconds: float) -> None:
        """Wait until something comes, at most so long, and handle it."""
        if not self._readable():
            self._poll.poll(seconds * 1000)
        self.hear()

    def tick(self) -> None:
        """Send a sign of life where one is due; miss the broker's.

        Raises:
            amqp.ConnectionForced: it has sent none for twice the heartbeat.
        """
        self._amqp.heartbeat_tick(rate=3)

    def on(self, method: tuple[int, int], heard: Callable[..., None]) -> None:
        """Have something called with the arguments of a method of the channel."""
        self.channel._callbacks[method] = heard

    def depths(self, names: Sequence[str]) -> list[int]:
        """How many messages wait in each of these queues, in one trip; a queue that is missing is an error.

        What was given back just before may be missing: a busy node says how many there are before it puts them back.
        """
        found: list[int] = []
        self.on(spec.Queue.DeclareOk, lambda _name, waiting, _consumers: found.append(waiting))
        for name in names:
            self.channel.send_method(spec.Queue.Declare, _DECLARE, (0, name, True, False, False, False, False, {}))
        self.wait(lambda: len(names) - len(found))
        return found

    def get(self, names: Sequence[str]) -> list[tuple[str, int, Content]]:
        """Take one message per name given, in one trip; returns (name, tag, content) of those that were there."""
        found: list[tuple[str, int, Content]] = []
        asked = iter(names)
        left = len(names)

        def ok(tag: int, _again: bool, _exchange: str, _key: str, _waiting: int, content: Content) -> None:
            nonlocal left
            found.append((next(asked), tag, content))
            left -= 1

        def empty(*_: object) -> None:
            nonlocal left
            next(asked)
            left -= 1

        self.on(spec.Basic.GetOk, ok)
        self.on(spec.Basic.GetEmpty, empty)
        for name in names:
            self.channel.send_method(spec.Basic.Get, _GET, (0, name, False))
        self.wait(lambda: left)
        return found

    def consume(self, consumers: Mapping[str, str], ahead: int) -> None:
        """Have at most so many messages of each queue pushed.

        A tag is used once: where messages of an earlier consumer of that tag are in hand, a quorum queue hands them out
        again, and 3.10 breaks the connection off (541). Nor is it a number: each message that a quorum queue is asked
        for has its own for a tag.

        Args:
            consumers: the queue of each tag.
            ahead: how many of each; to a consumer that is there already this would mean nothing.
        """
        self.channel.basic_qos(0, ahead, a_global=False)
        for tag, name in consumers.items():
            self.channel.send_method(spec.Basic.Consume, _CONSUME, (0, name, tag, False, False, False, True, {}))

    def cancel(self, tags: Sequence[str]) -> None:
        """Have nothing pushed to these consumers any more, in one trip.

        What a classic queue pushed has come when it returns; what was on its way from a quorum queue never comes: it is
        in the queue again by then, and was handed out once more.
        """
        left = len(tags)

        def ok(_consumer: str) -> None:
            nonlocal left
            left -= 1

        self.on(spec.Basic.CancelOk, ok)
        for tag in tags:
            self.channel.send_method(spec.Basic.Cancel, _CANCEL, (tag, False))
        self.wait(lambda: left)

    def depth(self, name: str) -> int | None:
        """How many messages wait in a queue; None where there is none of that name."""
        try:
            return int(self._aside.queue_declare(name, passive=True)[1])
        except amqp.NotFound:
            return None

    def make(self, queues: Sequence[Queue]) -> None:
        """Make those of these queues that are missing.

        Raises:
            NotMade: we may not make one.
        """
        for queue in queues:
            if self.depth(queue.name) is None:
                self._make(queue)

    def delete(self, names: Sequence[str]) -> None:
        """Delete queues with all that lies in them, those that are there."""
        for name in names:
            self._aside.queue_delete(name)

    def _make(self, queue: Queue) -> None:
        try:
            self._aside.queue_declare(queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments))
        except amqp.PreconditionFailed:  # another was faster, and gave it another shape
            if self.depth(queue.name) is None:
                raise
        except amqp.AccessRefused as error:
            raise NotMade(
                f"the queue {queue.name!r} does not exist on {self.address.shown}, and the user"
                f" {self.address.user!r} may not make it: make it, or grant him 'configure' ({error})",
                queue.name,
            ) from error

    def _deliver(self, content: Content) -> None:
        self.delivered(*content.pushed(), content)

    def _readable(self) -> bool:
        pending = getattr(self._socket, "pending", None)  # TLS reads whole records
        return bool(pending and pending()) or bool(self._poll.poll(0))

    def _on_blocked(self, _why: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False

    def _translated(self, error: BaseException) -> TaskbridgeError:
        shown, text = self.address.shown, getattr(error, "reply_text", "") or str(error) or type(error).__name__
        if self.blocked:
            return BrokerUnavailable(f"the broker {shown} takes no messages now: it is short of memory or disk")
        if _LARGE.search(text):
            return PayloadTooLarge(f"the broker {shown} takes none so large: {text}: save the data and pass its id")
        if isinstance(error, _REFUSED):
            return ConfigError(f"the broker {shown} refuses us: {text}")
        if isinstance(error, amqp.NotFound):  # deleted just now, or its node is down: who connects again makes it
            return BrokerUnavailable(f"the broker {shown} has a queue no more: {text}")
        return BrokerUnavailable(f"the broker {shown} is away: {text}")


def _unheard(_consumer: str, _tag: int, _content: Content) -> None:
    """Whoever consumes nothing is pushed nothing."""


def _patience(timeout_s: float) -> dict[int, int]:
    """How long the kernel waits for the acknowledgement of what was sent, as options of a socket; py-amqp says 1 s."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    return {option: int(timeout_s * 1000)} if option is not None else {}
