"""A TCP proxy in front of a server that cuts connections at random moments.

In a request, in a reply, or between the two; and some requests arrive when who sent them has long been cut off.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Self

from ..servers import HOST

#: How long a request that was held back may be on its way, seconds.
LATE_S = 1.0


class Proxy:
    """Carries bytes both ways, in a thread of its own.

    Args:
        target: the server's port.
        cuts: of a thousand pieces of data, how many are cut while ``cutting`` is set: the piece is swallowed, or half
            of it goes on, or, if it is a request, all of it goes on later; its sender is cut off at once.
    """

    def __init__(self, target: int, cuts: float = 8.0) -> None:
        self.cutting = False
        self.cut = 0
        self._target = target
        self._share = cuts / 1000
        self._other: dict[socket.socket, socket.socket] = {}
        self._near: set[socket.socket] = set()
        self._late: list[tuple[float, socket.socket, bytes]] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Self:
        self._listener = socket.create_server((HOST, 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for end in [*self._other, *(far for _, far, _ in self._late)]:
            end.close()
        self._listener.close()
        self._selector.close()

    @property
    def url(self) -> str:
        """The URL of the Redis behind it."""
        return f"redis://{HOST}:{self.port}/0"

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.02):
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._other:
                    self._carry(key.fileobj)
            self._deliver_late()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection((HOST, self._target), timeout=5)
        except OSError:
            near.close()
            return
        self._near.add(near)
        for end, other in ((near, far), (far, near)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._other[end] = other
            self._selector.register(end, selectors.EVENT_READ)

    def _carry(self, end: socket.socket) -> None:
        other = self._other[end]
        try:
            data = end.recv(1 << 16)
            if data and self.cutting and random.random() < self._share:
                self._cut(end, other, data)
            elif data:
                other.sendall(data)
            else:
                self._close(end, other)
        except OSError:
            self._close(end, other)

    def _cut(self, end: socket.socket, other: socket.socket, data: bytes) -> None:
        self.cut += 1
        kind = random.choice(("swallowed", "halved", "late") if end in self._near else ("swallowed", "halved"))
        if kind == "halved":
            other.sendall(data[: len(data) // 2])
        if kind != "late":
            self._close(end, other)
            return
        self._forget(other)
        self._close(end)
        self._late.append((time.monotonic() + random.uniform(0, LATE_S), other, data))

    def _deliver_late(self) -> None:
        now_s = time.monotonic()
        for late in [late for late in self._late if late[0] <= now_s]:
            self._late.remove(late)
            _, far, data = late
            with far, suppress(OSError):  # the server may have had enough of it
                far.sendall(data)
                far.shutdown(socket.SHUT_WR)
                far.settimeout(1)
                while far.recv(1 << 16):
                    pass

    def _close(self, *ends: socket.socket) -> None:
        for end in ends:
            self._forget(end)
            end.close()

    def _forget(self, end: socket.socket) -> None:
        if self._other.pop(end, None) is not None:
            self._selector.unregister(end)
        self._near.discard(end)
