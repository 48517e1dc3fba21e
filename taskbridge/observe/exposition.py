"""What Prometheus reads: a registry as text, and the small HTTP server that shows it at ``/metrics``.

The server has threads of its own, one for each scrape and not too many, and asks the registry anew each time. It knows
nothing of what is in it; ``prometheus_client`` is imported when something is served.
"""

from __future__ import annotations

import gzip
import logging
import re
import socket
import socketserver
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

log = logging.getLogger("taskbridge.metrics")

PATH = "/metrics"

#: How long a client may take to ask, or to read, before it is left, seconds.
PATIENCE_S = 10.0

#: How many are answered at a time, each by a thread: Prometheus comes with one or two. Who is one too many is left.
MOST = 32

#: HOST:PORT; the host may be left out, and one of IPv6 stands in brackets.
_ADDRESS = re.compile(r"(?P<host>[^:\[\]\s]*|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. An empty host is all of the machine's, port 0 one that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str) -> Address:
    """Read ``HOST:PORT`` or ``:PORT``.

    Raises:
        ConfigError: it is neither.
    """
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > 65_535:
        raise ConfigError(f"expected HOST:PORT or :PORT such as :9191, with a port up to 65535, got {text!r}")
    return Address(found["host"].strip("[]"), int(found["port"]))


def registry_of(*collectors: Collector) -> Collector:
    """Return a registry of these and nothing else.

    Raises:
        ConfigError: ``prometheus_client`` is missing.
    """
    check_installed()
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry


def text_of(registry: Collector) -> bytes:
    """Return all that is in a registry, in Prometheus' text format.

    Raises:
        ConfigError: ``prometheus_client`` is missing.
    """
    check_installed()
    from prometheus_client import generate_latest

    return generate_latest(registry)


def check_installed() -> None:
    """Refuse to go on without ``prometheus_client``.

    Raises:
        ConfigError: it is missing.
    """
    try:
        import prometheus_client  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"metrics need the package {error.name!r}: pip install 'taskbridge[metrics]'") from error


class Exposition:
    """Shows a registry at ``/metrics`` until it is closed.

    Args:
        registry: what is shown; asked at each scrape, from threads of this server.
        address: where.

    Raises:
        ConfigError: the address is in use, is none of this machine's, or ``prometheus_client`` is missing.
    """

    def __init__(self, registry: Collector, address: Address) -> None:
        check_installed()
        self._server = _listening(address, _handler(registry))
        self.address = Address(address.host, self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to look from this machine."""
        shown = self.address if self.address.host else Address("localhost", self.address.port)
        return f"http://{shown}{PATH}"

    def close(self) -> None:
        """Listen no more. A scrape that is being answered goes on to its end."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST
    server_address: tuple[str, int]

    def __init__(self, *args: Any) -> None:
        self._room = BoundedSemaphore(MOST)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news."""
        log.debug("a client of /metrics went away: %r", sys.exception())


def _listening(address: Address, handler: type[BaseHTTPRequestHandler]) -> _Server:
    """Return a server that listens. The name is looked up once, and no client's ever."""
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, where = found[0]
        kind = type("Server", (_Server,), {"address_family": family})
        server: _Server = kind(where, handler)
    except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot serve metrics at {address}: {why}; choose another HOST:PORT") from error
    return server


def _handler(registry: Collector) -> type[BaseHTTPRequestHandler]:
    from prometheus_client.exposition import choose_encoder

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_S
        server_version = "taskbridge"
        sys_version = ""

        def do_HEAD(self) -> None:
            """What is said of an answer to GET, and not the answer: whoever looks whether we live asks so."""
            self.do_GET()

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self._answer(HTTPStatus.NOT_FOUND, b"the metrics are at /metrics\n")
                return
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            try:
                said = encode(registry)
            except Exception:
                log.exception("the metrics could not be read")
                self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the metrics could not be read; see the log\n")
                return
            self._answer(HTTPStatus.OK, said, kind)

        def _answer(self, status: HTTPStatus, said: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                said = gzip.compress(said, 1)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape is no news."""

    return Handler
