"""Someone between a client and an SQS: counts what is asked, and answers in its place as told."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

from .servers import HOST
from .sqs import SqsServer

#: What an answer is: status, content type, body. None lets the request through.
Answer = tuple[int, str, bytes] | None

#: What is done with a request: the action's name and its words.
Meddling = Callable[[str, dict[str, Any]], Answer]

JSON = "application/x-amz-json-1.0"


def error(code: str, status: int = 400, text: str = "as the test says") -> Answer:
    """An error as SQS tells it."""
    return status, JSON, json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": text}).encode()


def said(words: dict[str, Any]) -> Answer:
    """An answer as SQS gives it."""
    return 200, JSON, json.dumps(words).encode()


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """They were killed, or told to."""


class Meddler:
    """Stands on a port of its own. ``meddle`` decides what becomes of each request; nothing is done without it.

    ``asked`` counts requests by action.
    """

    def __init__(self, server: SqsServer) -> None:
        self.meddle: Meddling = lambda _action, _words: None
        self.hangs_up = False
        self.asked: Counter[str] = Counter()
        self._server = server

    def __enter__(self) -> Self:
        meddler = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version: ClassVar[str] = "HTTP/1.1"

            def do_POST(self) -> None:
                meddler._handle(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

        self._http = Quiet((HOST, 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="meddler")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        """The URL of the SQS behind it."""
        return self._server.url(self.port)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        action = (request.headers.get("X-Amz-Target") or "").rpartition(".")[2]
        self.asked[action] += 1
        if self.hangs_up:
            request.close_connection = True
            request.connection.close()
            return
        answer = self.meddle(action, json.loads(body or b"{}")) or self._forward(request, body)
        status, kind, content = answer
        try:
            request.send_response(status)
            request.send_header("Content-Type", kind)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except OSError:  # whoever asked is gone
            request.close_connection = True

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(HOST, self._server.port, timeout=60)
        try:
            connection.request("POST", request.path, body, dict(request.headers))
            reply = connection.getresponse()
            return reply.status, reply.headers.get("Content-Type", JSON), reply.read()
        except OSError:
            return 503, "text/plain", b"nobody there"
        finally:
            connection.close()
