"""Take messages to one worker process: asked for, or pushed, in the order of bands (``session.py``).

One that is idle subscribes to its queues, one message of each, and sleeps on the socket.

A thread of the consumer's keeps the connection alive while a task runs, and when that takes long it gives back what was
fetched and not begun. A connection that is lost takes its tags along: what came by it comes again by itself, and a copy
of what runs or has ended is recognised where it is begun.
"""

from __future__ import annotations

import logging
import random
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..backend import Delivery
from ..clock import SystemClock
from ..errors import BrokerUnavailable, ConfigError, TaskbridgeError
from .address import Address
from .connection import Connection
from .queues import Queue, Reading
from .session import Decode, Session

log = logging.getLogger("taskbridge.rabbitmq")

#: A worker that has asked for nothing for so long runs a long task, seconds: an idle one asks once a second.
LONG_RUN_S = 1.5

#: How often the thread looks, seconds.
TICK_S = 0.25

#: How long a broker that is away is left alone, seconds: first, and at most; half of it is chance.
AWAY_S = (0.25, 5.0)

#: How often to look again for parts of queues that were not there and may not be made, seconds: others may make them.
LOOK_S = 60.0

_clock = SystemClock()


class RabbitConsumer:
    """Takes messages of some queues.

    Args:
        address: where they are.
        readings: the queues, in the order they are read.
        shape: returns the queue of a name, with those that belong to it, as they are made where they are missing.
        decode: as ``Session`` has it.
    """

    more = False

    def __init__(
        self, address: Address, readings: Sequence[Reading], shape: Callable[[str], Sequence[Queue]], decode: Decode
    ) -> None:
        self._address = address
        self._all = readings
        self._readings = readings
        self._shape = shape
        self._decode = decode
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._connections = 0
        self._turn = 0
        self._asked_s = 0.0
        self._wait_s, self._not_before_s, self._why = AWAY_S[0], 0.0, ""
        self._look_at_s = float("inf")
        self._thread: threading.Thread | None = None

    @property
    def ears(self) -> Sequence[int]:
        """The socket; whoever asks for it is idle now."""
        try:
            with self._speaking() as session:
                session.acknowledge()
                session.listen()
                return (session.connection.ear,)
        except TaskbridgeError as error:
            log.debug("there is nothing to listen to: %s", error)  # fetch has said so
            return ()

    def fetch(self, limit: int) -> list[Delivery]:
        self._look_again()
        with self._speaking() as session:
            self._turn += 1
            return session.take(limit, self._turn)

    def _look_again(self) -> None:
        """Connect anew where a part was missing, once in a while: whoever fetches has nothing in hand."""
        with self._lock:
            if self._session is not None and _clock.monotonic_s() >= self._look_at_s:
                with self._guarded(self._session) as session:
                    session.give_back_unbegun()
                self._session.lose()
                self._session = None

    def acknowledge(self, delivery: Delivery) -> None:
        with self._lock:
            session, self._asked_s = self._session, _clock.monotonic_s()
            enough = session is not None and session.settle(delivery)
        if enough:
            with self._speaking() as session:
                session.acknowledge()

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        if self._session is not None:
            with self._speaking() as session:
                session.unsubscribe()
                session.give_back(deliveries)
                session.give_back_unbegun()

    def serve(self, queues: Sequence[str]) -> None:
        with self._lock:
            self._readings = [one for one in self._all if one.queue in queues]
            if self._session is not None:
                with self._guarded(self._session) as session:
                    session.give_back_unbegun()
                    session.serve(self._there(session.connection))

    def tend(self) -> None:
        """Keep the connection alive; while a long task runs, hold nothing that is not begun."""
        with self._lock:
            if self._session is None:
                return
            idle_s = _clock.monotonic_s() - self._asked_s
            with self._guarded(self._session) as session:
                session.connection.tick()
                if idle_s > TICK_S:
                    session.acknowledge()
                if idle_s > LONG_RUN_S:
                    session.give_back_unbegun()

    @contextmanager
    def _speaking(self) -> Iterator[Session]:
        with self._lock:
            self._asked_s = _clock.monotonic_s()
            if self._session is None:
                self._session = self._connected()
            with self._guarded(self._session) as session:
                yield session
            self._asked_s = _clock.monotonic_s()  # a slow answer is no long task

    @contextmanager
    def _guarded(self, session: Session) -> Iterator[Session]:
        """Whatever goes wrong inside: the connection is given up, and with it all that came by it."""
        try:
            with session.connection.speaking():
                yield session
        except BaseException:
            session.lose()
            self._session = None
            raise

    def _connected(self) -> Session:
        if self._asked_s < self._not_before_s:
            raise BrokerUnavailable(self._why)
        try:
            connection = Connection(self._address, heartbeat_s=self._address.heartbeat_s)
            with connection.speaking():
                self._connections += 1
                session = Session(connection, self._there(connection), self._connections, self._decode)
        except TaskbridgeError as error:
            self._why = str(error)
            self._not_before_s = _clock.monotonic_s() + self._wait_s * random.uniform(0.5, 1.5)
            self._wait_s = min(self._wait_s * 2, AWAY_S[1])
            raise
        self._wait_s = AWAY_S[0]
        if self._thread is None:
            self._thread = threading.Thread(target=_tend, args=(weakref.ref(self),), name="rabbitmq", daemon=True)
            self._thread.start()
        return session

    def _there(self, connection: Connection) -> list[Reading]:
        """Make what is missing; a queue's bands that we may not make are not read."""
        there, self._look_at_s = [], float("inf")
        for one in self._readings:
            try:
                connection.make(self._shape(one.name))
            except ConfigError as error:
                if one.main:
                    raise
                self._look_at_s = _clock.monotonic_s() + LOOK_S
                log.warning("%s is not read, and looked for again in %.0f s: %s", one.name, LOOK_S, error)
            else:
                there.append(one)
        return there


def _tend(of: weakref.ref[RabbitConsumer]) -> None:
    """Tend a consumer for as long as somebody has it."""
    while (consumer := of()) is not None:
        try:
            consumer.tend()
        except TaskbridgeError as error:
            log.warning("a worker's connection is lost; what it had not begun comes again by itself: %s", error)
        except Exception:
            log.exception("tending a worker's connection failed")
        del consumer
        _clock.sleep(TICK_S)
