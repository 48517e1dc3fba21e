"""Redis URLs: what each kind means, and how it is shown without its password."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigError

SCHEMES = ("redis", "rediss", "unix", "sentinel")

#: Default port of a sentinel. Source: redis.io, "High availability with Redis Sentinel".
SENTINEL_PORT = 26379

_HOST = re.compile(r"(?P<name>[^:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d+))?")

#: What is hidden, safe rather than short: a secret in the query, as redis-py reads it; all up to the last @, however
#: badly a password is quoted; and a port that is no number, for then the @ may be what is missing.
_SECRETS = (
    (re.compile(r"([?&]\w*(?:password|secret|token)\w*=)[^&\s]*", re.IGNORECASE), r"\1***"),
    (re.compile(r"\A([a-z+]+://[^:/@]*):.*@", re.DOTALL), r"\1:***@"),
    (re.compile(r"((?:[a-z+]+://)?[^:/@\s'\"]*):(?!//)\S*@"), r"\1:***@"),
    (re.compile(r"(://[^:/@\s\[]*):(?!\*\*\*@|\d*(?:[/?#,\s'\"]|\Z))[^\s'\"]*"), r"\1:***"),
)


def redacted(text: str) -> str:
    """Return a URL, or a text with URLs, without their passwords: fit for a log or an error."""
    for secret, shown in _SECRETS:
        text = secret.sub(shown, text)
    return text


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
    try:
        parts = urlsplit(url)
        slashed = scheme(url) != "unix" and "@" in parts.path
        _ = None if slashed else parts.port
    except ValueError:
        raise ConfigError(f"expected a host and a port number in {redacted(url)!r}") from None
    if slashed:
        raise ConfigError(f"expected a / in the password to be written %2F, got {redacted(url)!r}")
    database = parts.path.strip("/")
    if scheme(url) != "unix" and database and not database.isdecimal():
        raise ConfigError(f"expected a database number after the host, got {database!r} in {redacted(url)!r}")
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
    found = [_HOST.fullmatch(part) for part in hosts.split(",")]
    if not service or not all(found) or not (database or "0").isdecimal():
        raise ConfigError(f"expected sentinel://host1:26379,host2:26379/service/db, got {redacted(url)!r}")
    options: dict[str, object] = dict(parse_qsl(query))
    if at:
        user, _, password = credentials.partition(":")
        options |= {"username": unquote(user) or None, "password": unquote(password)}
    addresses = [(host["name"].strip("[]"), int(host["port"] or SENTINEL_PORT)) for host in found if host]
    return addresses, service, options | {"db": int(database or 0)}
