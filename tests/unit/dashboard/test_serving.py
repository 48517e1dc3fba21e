"""The dashboard served by itself: what a proxy may say, and an end that breaks nothing off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from taskbridge import Bridge
from taskbridge.dashboard import Dashboard
from taskbridge.dashboard.serving import Serving
from taskbridge.errors import ConfigError
from taskbridge.observe.exposition import Address

from .conftest import TOKEN


@contextmanager
def connected(served: Serving) -> Iterator[HTTPConnection]:
    parts = urlsplit(served.url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=20)) as made:
        yield made


def sign_in(connection: HTTPConnection, **headers: str) -> HTTPResponse:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/sign-in", f"token={TOKEN}".encode(), form | told)
    return connection.getresponse()


@pytest.mark.parametrize(("proxy", "secure"), [("127.0.0.1", True), ("10.0.0.1", False), ("", False)])
def test_what_a_proxy_says_is_believed_of_it_alone(bridge: Bridge, proxy: str, secure: bool):
    """Who says that TLS ends there must be the one that is named; else anybody could."""
    served = Serving(Dashboard(bridge, token=TOKEN), Address("127.0.0.1", 0), proxy=proxy)

    with connected(served) as connection:
        cookie = sign_in(connection, X_Forwarded_Proto="https").headers["Set-Cookie"]
    served.close()

    assert secure is ("Secure" in cookie)


@pytest.mark.parametrize("proxy", ["nginx", "10.0.0.0/8", "*", "10.0.0.1:80"])
def test_a_proxy_is_one_address(proxy: str):
    """Of a name, or a net, what it says would be dropped without a word; and nobody means everybody."""
    with pytest.raises(ConfigError, match="expected the one address that it connects from"):
        Serving(lambda _environ, _start: [], Address("127.0.0.1", 0), proxy=proxy)


@pytest.mark.parametrize("prefix", ["tasks", "/tasks", "/tasks/", "tasks/"])
def test_its_prefix_is_a_path(bridge: Bridge, prefix: str):
    """However it is written; where a browser finds it is told as it is."""
    served = Serving(Dashboard(bridge, token=TOKEN), Address("127.0.0.1", 0), prefix=prefix)
    where = urlsplit(served.url)

    with connected(served) as connection:
        connection.request("GET", "/tasks/")
        answer = connection.getresponse()
        page = answer.read().decode()
    served.close()

    assert (200, "/tasks/") == (answer.status, where.path)
    assert 'href="/tasks/queues"' in page


def test_what_is_too_large_is_refused(bridge: Bridge):
    """Before it is all read."""
    served = Serving(Dashboard(bridge, token=TOKEN), Address("127.0.0.1", 0))

    with connected(served) as connection:
        connection.request("POST", "/sign-in", b"x" * 100_000, {"Content-Type": "application/x-www-form-urlencoded"})
        status = connection.getresponse().status
    served.close()

    assert 413 == status


def test_what_is_being_answered_is_answered_to_the_end():
    """And then nobody listens any more."""
    asked, go = Event(), Event()

    def slow(_environ: Any, start_response: Any) -> list[bytes]:
        asked.set()
        go.wait(20)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    served = Serving(slow, Address("127.0.0.1", 0))
    with connected(served) as connection:
        connection.request("GET", "/")
        assert asked.wait(20)
        end = Thread(target=served.close)
        end.start()
        go.set()
        body = connection.getresponse().read()
        end.join(20)
    with connected(served) as late, pytest.raises(ConnectionRefusedError):
        late.request("GET", "/")

    assert b"done" == body
