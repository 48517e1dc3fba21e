"""Serve a dashboard by itself: waitress, with few threads and narrow limits, in a thread of its own.

The only importer of ``waitress``. What a proxy says of who asks is believed of the one address that is named alone.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from threading import Thread
from typing import Any

from waitress import create_server, wasyncore
from waitress.trigger import trigger

from ..clock import SystemClock
from ..errors import ConfigError
from ..observe.exposition import Address

#: How many requests are answered at a time, connections held, and bytes of a request and of its head taken.
THREADS, CONNECTIONS, BODY_BYTES, HEAD_BYTES = 8, 200, 64 * 1024, 32 * 1024

#: A connection on which nothing happens is closed after so many seconds.
IDLE_S = 30

#: What a trusted proxy may say.
FORWARDED = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}

#: How long what is being answered may go on when it ends, seconds.
LAST_S = 2.0

#: How often to look whether they are sent, seconds.
TICK_S = 0.01

Application = Callable[..., Any]


class Serving:
    """A dashboard that listens.

    Args:
        application: it.
        address: where.
        prefix: what its URLs begin with, as a proxy passes them on: ``/tasks``. Defaults to nothing.
        proxy: the address of the proxy in front of it. Defaults to none.

    Raises:
        ConfigError: the address is taken, or none of this machine's; the proxy's is none.
    """

    def __init__(self, application: Application, address: Address, *, prefix: str = "", proxy: str = "") -> None:
        self._map: dict[int, Any] = {}
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a request waits is no news
        options = _believing(proxy) if proxy else {}
        prefix = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
        sockets = _listening(address)
        self._server = create_server(
            application,
            map=self._map,
            sockets=sockets,
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_S,
            max_request_body_size=BODY_BYTES,
            max_request_header_size=HEAD_BYTES,
            url_prefix=prefix,
            ident=None,
            clear_untrusted_proxy_headers=True,
            **options,
        )
        found = Address(address.host or "localhost", sockets[0].getsockname()[1])
        #: Where a browser finds it.
        self.url = f"http://{found}{prefix}/"
        self._thread = Thread(target=self._server.run, name="dashboard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Begin no more answers, end those that are begun, for a moment, and listen no more."""
        clock = SystemClock()
        over_s = clock.monotonic_s() + LAST_S
        self._server.task_dispatcher.shutdown(timeout=LAST_S)
        while self._unsent() and clock.monotonic_s() < over_s:
            clock.sleep(TICK_S)
        ears = [one for one in self._map.values() if isinstance(one, trigger)]
        if ears:
            ears[0].pull_trigger(lambda: wasyncore.close_all(self._map, True))
        self._thread.join(LAST_S)

    def _unsent(self) -> bool:
        return any(getattr(one, "total_outbufs_len", 0) for one in list(self._map.values()))


def _believing(proxy: str) -> dict[str, Any]:
    """What waitress is told of a proxy; it compares an address with that of who connects, and looks up no name.

    Raises:
        ConfigError: it is none.
    """
    try:
        address = str(ip_address(proxy))
    except ValueError:
        raise ConfigError(
            f"trusted proxy: expected the one address that it connects from, such as 10.0.0.7, got {proxy!r}"
        ) from None
    return {"trusted_proxy": address, "trusted_proxy_headers": FORWARDED}


def _listening(address: Address) -> list[socket.socket]:
    """Listen at an address; at one of each family where it is all of the machine's, so that each is told as it is.

    Raises:
        ConfigError: it is taken, or none of this machine's.
    """
    try:
        if address.host:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            return [socket.create_server((address.host, address.port), family=family)]
        made = [socket.create_server(("", address.port))]
        with suppress(OSError):  # a machine without IPv6
            made.append(socket.create_server(("", made[0].getsockname()[1]), family=socket.AF_INET6))
    except OSError as error:
        number = error.errno or 0  # below zero where a name leads nowhere
        why = os.strerror(number) if number > 0 else error.strerror or error
        raise ConfigError(f"cannot listen at {address}: {why}; choose another --bind HOST:PORT") from None
    return made
