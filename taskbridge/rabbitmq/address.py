"""RabbitMQ URLs: what each part means. Opens nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigError, nearest
from ..redis.url import redacted

#: Source: RabbitMQ docs, "Networking and RabbitMQ", the ports.
PORTS = {"amqp": 5672, "amqps": 5671}

#: A worker sends a sign of life three times in so long, seconds, and the broker takes one that sent none for two to
#: three times as long for dead: what a host that vanished had fetched is another's within a minute.
#: Source: RabbitMQ docs, "Detecting Dead TCP Connections with Heartbeats"; measured on 3.10.8.
HEARTBEAT_S = 20.0

#: How long one answer may take, seconds.
TIMEOUT_S = 10.0

#: After so long without an acknowledgement the broker closes the channel, seconds; its own setting, which a client
#: cannot read. Source: RabbitMQ docs, "Consumer Acknowledgements", ``consumer_timeout``.
CONSUMER_TIMEOUT_S = 1_800.0

QUEUE_TYPES = ("classic", "quorum")

#: Of the URL, and what py-amqp calls them.
_TLS = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
_OPTIONS = ("heartbeat", "timeout", "queue_type", "queue_suffix", "consumer_timeout", *_TLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker is and how to speak with it.

    Args:
        shown: the URL without its password.
        heartbeat_s: 0 is none.
        timeout_s: how long one answer may take.
        queue_type: of queues that are made here.
        queue_suffix: what names of queues end with; None is what the engine says.
        consumer_timeout_s: what the broker's own setting is said to be.
        tls: None without TLS; else what py-amqp is told of it.
    """

    shown: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str
    heartbeat_s: float = HEARTBEAT_S
    timeout_s: float = TIMEOUT_S
    queue_type: str = "classic"
    queue_suffix: str | None = None
    consumer_timeout_s: float = CONSUMER_TIMEOUT_S
    tls: Mapping[str, Any] | None = None


def parse(url: str) -> Address:
    """Read an ``amqp://`` or ``amqps://`` URL.

    Raises:
        ConfigError: a part that cannot be, or an option nobody knows.
    """
    shown = redacted(url)
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ConfigError(f"expected amqp://user:password@host:5672/vhost, got {shown!r}") from None
    if not parts.hostname or "," in parts.netloc:
        raise ConfigError(f"expected one host in {shown!r}; a cluster is reached by the address of its balancer")
    words = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in words:
        if name not in _OPTIONS:
            raise ConfigError(f"{shown}: no option is called {name!r}{nearest(name, _OPTIONS)}")
    read = _Reader(words, shown)
    tls = {_TLS[name]: words[name] for name in _TLS if name in words}
    if tls and parts.scheme != "amqps":
        raise ConfigError(f"{shown}: {', '.join(set(words) & set(_TLS))} is for amqps://")
    return Address(
        shown=shown,
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        vhost=unquote(parts.path[1:]) or "/",
        heartbeat_s=read.seconds("heartbeat", HEARTBEAT_S, lambda s: s == 0 or 1 <= s <= 600, "0, or 1 to 600"),
        timeout_s=read.seconds("timeout", TIMEOUT_S, lambda s: 0.1 <= s <= 300, "0.1 to 300"),
        queue_type=read.one_of("queue_type", QUEUE_TYPES),
        queue_suffix=words.get("queue_suffix"),
        consumer_timeout_s=read.seconds("consumer_timeout", CONSUMER_TIMEOUT_S, lambda s: s > 0, "more than 0"),
        tls=tls | {"server_hostname": parts.hostname} if parts.scheme == "amqps" else None,
    )


class _Reader:
    """Reads options, and says which of what was wrong."""

    def __init__(self, words: Mapping[str, str], shown: str) -> None:
        self._words, self._shown = words, shown

    def seconds(self, name: str, default: float, fits: Callable[[float], bool], expected: str) -> float:
        if name not in self._words:
            return default
        try:
            seconds = float(self._words[name])
        except ValueError:
            seconds = -1.0
        if not fits(seconds):
            raise ConfigError(f"{self._shown}: {name}: expected {expected} seconds, got {self._words[name]!r}")
        return seconds

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        word = self._words.get(name, known[0])
        if word not in known:
            raise ConfigError(f"{self._shown}: {name}: expected {' or '.join(known)}, got {word!r}")
        return word
