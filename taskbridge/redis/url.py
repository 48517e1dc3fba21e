"""Redis URLs: what each kind means, and how it is shown without its password."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigError

SCHEMES = ("redis", "rediss", "unix", "sentinel")

#: Default port of a sentinel. Source: redis.io, "High availability with Redis Sentinel".
SENTINEL_PORT = 26379


def redacted(url: str) -> str:
    """Return the URL without its password, fit for a log or an error."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def scheme(url: str) -> str:
    """Return the URL's scheme, or refuse what is no URL.

    Raises:
        ConfigError: there is no ``scheme://`` in it.
    """
    found = re.match(r"([a-z+]+)://", url)
    if not found:
        raise ConfigError(f"expected a URL such as redis://localhost:6379/0, got {redacted(url)!r}")
    return found.group(1)


def check(url: str) -> str:
    """Return the URL if it is one of Redis.

    Raises:
        ConfigError: another scheme, or a database that is no number.
    """
    if scheme(url) not in SCHEMES:
        raise ConfigError(
            f"expected redis://, rediss://, unix:// or sentinel://host1,host2/service/db, got {redacted(url)!r}"
        )
    if scheme(url) == "sentinel":
        sentinel(url)
        return url
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if scheme(url) != "unix" and database and not database.isdigit():
        raise ConfigError(f"expected a database number after the host, got {database!r} in {redacted(url)!r}")
    try:
        _ = parts.port
    except ValueError:
        raise ConfigError(f"expected a port number in {redacted(url)!r}") from None
    return url


def sentinel(url: str) -> tuple[list[tuple[str, int]], str, dict[str, object]]:
    """Return a sentinel URL's hosts, service name and connection options.

    Raises:
        ConfigError: the service name or a host is missing.
    """
    rest = url.removeprefix("sentinel://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    service, _, database = path.partition("/")
    if not service or not hosts:
        raise ConfigError(f"expected sentinel://host1:26379,host2:26379/service/db, got {redacted(url)!r}")
    options: dict[str, object] = dict(parse_qsl(query))
    if at:
        user, _, password = credentials.partition(":")
        options |= {"username": unquote(user) or None, "password": unquote(password)}
    return [_host(part) for part in hosts.split(",")], service, options | {"db": int(database or 0)}


def _host(part: str) -> tuple[str, int]:
    name, _, port = part.partition(":")
    return name, int(port or SENTINEL_PORT)
