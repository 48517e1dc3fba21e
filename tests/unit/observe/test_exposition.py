"""Where metrics are served, and what a scrape gets."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.registry import Collector

from taskbridge.errors import ConfigError
from taskbridge.observe.exposition import MOST, Address, Exposition, address_of, text_of
from tests.servers import until


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Gauge("answer", "What was asked for.", ["queue"], registry=made).labels('a"b\n').set(42)
    return made


@pytest.fixture
def served(registry: CollectorRegistry) -> Iterator[Exposition]:
    made = Exposition(registry, address_of("127.0.0.1:0"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9191", "", 9191),
        ("localhost:9191", "localhost", 9191),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("[::1]:9191", "::1", 9191),
        ("[::]:0", "::", 0),
    ],
)
def test_address_is_host_and_port(text: str, host: str, port: int):
    """The host may be left out; it is shown as it was written."""
    assert Address(host, port) == address_of(text)
    assert text == str(address_of(text))


@pytest.mark.parametrize(
    "text", ["", "9191", ":", "host", "::1:9191", ":65536", ":-1", ":9191/metrics", "a b:1", ":\uff19"]
)
def test_what_is_no_address_is_refused(text: str):
    """With what was expected, what came, and an example."""
    with pytest.raises(ConfigError, match=r"expected HOST:PORT or :PORT such as :9191.*got"):
        address_of(text)


@pytest.mark.parametrize("host", ["a" * 64, "bank..example", "."])
def test_a_host_that_cannot_be_is_refused(host: str):
    """With the address, the reason, and what to do; a name's parts have 63 letters at most."""
    with pytest.raises(ConfigError, match=r"cannot serve metrics at .*choose another HOST:PORT"):
        Exposition(CollectorRegistry(), Address(host, 0))


def test_a_scrape_gets_what_is_in_the_registry(served: Exposition):
    """In the format that every Prometheus reads, with its values escaped."""
    with urlopen(served.url, timeout=20) as answer:
        kind, (family,) = answer.headers["Content-Type"], parsed(answer.read().decode())

    assert kind.startswith("text/plain; version=0.0.4")
    assert [("answer", {"queue": 'a"b\n'}, 42.0)] == [tuple(sample)[:3] for sample in family.samples]


def test_whoever_only_connects_has_so_many_threads_and_no_more(served: Exposition):
    """A port that anybody reaches must not fill the worker's memory; when they have gone, a scrape is answered."""
    before = {*threading.enumerate()}
    address = (served.address.host, served.address.port)

    idle = [socket.create_connection(address, timeout=20) for _ in range(3 * MOST)]
    for one in idle[-MOST:]:  # those that were too many hear so, and all before them have been taken by then
        assert b"" == one.recv(1)
    threads = len({*threading.enumerate()} - before)
    for one in idle:
        one.close()

    assert MOST == threads
    until(lambda: before >= {*threading.enumerate()}, 20, "their threads have ended")
    with urlopen(served.url, timeout=20) as answer:
        assert 200 == answer.status


def test_a_scrape_gets_the_format_and_the_packing_that_it_asks_for(served: Exposition):
    """OpenMetrics, and gzip, as a Prometheus server asks for both."""
    asked = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    with urlopen(Request(served.url, headers=asked), timeout=20) as answer:
        kind, said = answer.headers["Content-Type"], gzip.decompress(answer.read())

    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert said.endswith(b"# EOF\n")


def test_who_asks_for_the_head_alone_gets_that(served: Exposition):
    """What a scrape would be told of its answer, and nothing behind it: the connection ends there."""
    with urlopen(served.url, timeout=20) as whole:
        told = {name: text for name, text in whole.headers.items() if name != "Date"}
    with socket.create_connection((served.address.host, served.address.port), timeout=20) as asking:
        asking.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        head, _, body = b"".join(iter(lambda: asking.recv(65_536), b"")).partition(b"\r\n\r\n")

    assert (b"HTTP/1.0 200 OK", b"") == (head.splitlines()[0], body)
    assert told.items() <= dict(line.decode().split(": ", 1) for line in head.splitlines()[1:]).items()


def test_other_paths_are_not_found(served: Exposition):
    """It says where the metrics are."""
    with pytest.raises(HTTPError) as caught:
        urlopen(served.url.replace("/metrics", "/"), timeout=20)

    with caught.value as error:
        assert (404, b"the metrics are at /metrics\n") == (error.code, error.read())


def test_a_client_that_says_nothing_holds_up_nobody(served: Exposition):
    """Each has a thread of its own."""
    silent = socket.create_connection((served.address.host, served.address.port))
    with silent, urlopen(served.url, timeout=20) as answer:
        assert 200 == answer.status


def test_a_collector_that_fails_is_told_and_the_next_scrape_is_answered(
    registry: CollectorRegistry, served: Exposition, caplog: pytest.LogCaptureFixture
):
    """500 without what went wrong, which the log has."""

    class Broken(Collector):
        def collect(self) -> Iterator[Metric]:
            raise OSError("hush")

        def describe(self) -> list[Metric]:
            return []

    broken = Broken()
    registry.register(broken)
    with pytest.raises(HTTPError) as caught:
        urlopen(served.url, timeout=20)
    with caught.value as error:
        assert (500, b"the metrics could not be read; see the log\n") == (error.code, error.read())
    assert "hush" in caplog.text

    registry.unregister(broken)

    with urlopen(served.url, timeout=20) as answer:
        assert 200 == answer.status


def test_a_port_in_use_is_refused(registry: CollectorRegistry, served: Exposition):
    """With the address and what to do; after it was closed, it is free."""
    with pytest.raises(ConfigError, match=rf"cannot serve metrics at {served.address}: Address already in use; choose"):
        Exposition(registry, served.address)

    served.close()

    Exposition(registry, served.address).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(registry: CollectorRegistry, host: str):
    """One that it does not have, and a name that nobody knows."""
    with pytest.raises(ConfigError, match=f"cannot serve metrics at {host}:9191: .*choose another HOST:PORT"):
        Exposition(registry, Address(host, 9191))


def test_the_text_is_what_a_scrape_gets(registry: CollectorRegistry, served: Exposition):
    """For ``taskbridge metrics --once``."""
    with urlopen(served.url, timeout=20) as answer:
        assert text_of(registry) == answer.read()
