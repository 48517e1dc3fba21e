"""A server that takes Sentry's envelopes over HTTP, as Sentry does, and keeps what is in them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from .servers import HOST, until

#: How long until what a worker has told is here, seconds.
TOLD_S = 60.0


class Nowhere(Transport):
    """Takes what a client tells, and tells nobody."""

    def capture_envelope(self, envelope: Envelope) -> None: ...


class Envelopes:
    """Listens at ``dsn`` while the block lasts. ``answer`` is called before a request is answered."""

    def __init__(self, answer: Callable[[], object] = lambda: None) -> None:
        self._kept: list[Envelope] = []
        kept = self._kept

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                answer()
                kept.append(Envelope.deserialize(gzip.decompress(body) if packed else body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A worker that has ended waits for no answer."""

        self._server = Server((HOST, 0), Endpoint)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="envelopes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def dsn(self) -> str:
        return f"http://key@{HOST}:{self._server.server_address[1]}/1"

    def items(self, kind: str) -> list[Any]:
        """What has come, of one kind."""
        return [
            item.payload.json
            for envelope in list(self._kept)
            for item in envelope.items
            if item.headers.get("type") == kind
        ]

    @property
    def errors(self) -> list[Any]:
        """Errors that were raised."""
        return [one for one in self.items("event") if "exception" in one]

    @property
    def messages(self) -> list[str]:
        """What was told in words."""
        told = [one for one in self.items("event") if "exception" not in one]
        return [one["message"] if "message" in one else " ".join(one["logentry"]["params"]) for one in told]

    def until_told(self, word: str) -> None:
        """Wait until this was told in words."""
        until(lambda: word in self.messages, TOLD_S, f"{word!r} is told; what came is {self.messages}, {self.errors}")
