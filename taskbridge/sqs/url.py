"""SQS URLs: ``sqs://`` alone is what the AWS variables, files and roles say; the rest is said in the URL.

``sqs://KEY:SECRET@host:port?region=eu-west-1&is_secure=false&create=false``, each part on its own or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigError, nearest
from ..redis.url import redacted

EXAMPLE = "sqs://, or sqs://host:port?region=eu-west-1&is_secure=false, with key and secret before the host"

#: What a server that is not Amazon's takes for a region, when nobody names one: any will do, and kombu takes this one.
ELSEWHERE = "us-east-1"

_WORDS = ("create", "is_secure", "region")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where SQS is, and as whom it is asked.

    Args:
        endpoint: its URL; empty for Amazon's own, or what ``AWS_ENDPOINT_URL_SQS`` says.
        region: empty for what the AWS variables and files say.
        key, secret: empty for the AWS variables, files and roles.
        secure: whether ``endpoint`` speaks TLS.
        create: whether queues may be made.
    """

    endpoint: str = ""
    region: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)
    secure: bool = True
    create: bool = True


def parse(url: str) -> Address:
    """Return what an SQS URL says.

    Raises:
        ConfigError: it is none, or says what nobody knows.
    """
    shown = redacted(url)
    if not url.startswith("sqs://"):
        raise ConfigError(f"expected {EXAMPLE}, got {shown!r}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"expected a host and a port number in {shown!r}") from None
    if parts.path.strip("/") or parts.fragment:
        raise ConfigError(f"expected nothing behind the host but ?region=..., and a / in the secret as %2F: {shown!r}")
    if (parts.username is None) != (parts.password is None) or (parts.username == "") != (parts.password == ""):
        raise ConfigError(f"expected key and secret before the host, both or neither, got {shown!r}")
    words = _words(parts.query, shown)
    secure = _flag("is_secure", words, shown)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    endpoint = f"{'https' if secure else 'http'}://{host}{f':{port}' if port else ''}" if host else ""
    return Address(
        endpoint=endpoint,
        region=words.get("region", "") or region_of(host) or (ELSEWHERE if host else ""),
        key=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
        secure=secure,
        create=_flag("create", words, shown),
    )


def region_of(host: str) -> str:
    """Return the region that one of Amazon's own hosts is in, such as ``sqs.eu-west-1.amazonaws.com``."""
    parts = host.split(".")
    if "amazonaws" in parts and parts.index("amazonaws") >= 2:
        at = parts.index("amazonaws")
        return parts[at - 2] if parts[at - 1] == "vpce" else parts[at - 1]
    return ""


def _words(query: str, shown: str) -> dict[str, str]:
    words = dict(parse_qsl(query, keep_blank_values=True))
    for word in words:
        if word not in _WORDS:
            raise ConfigError(f"{shown!r} has no {word!r}{nearest(word, _WORDS)}")
    return words


def _flag(name: str, words: dict[str, str], shown: str) -> bool:
    said = words.get(name, "true").lower()
    if said not in ("true", "false"):
        raise ConfigError(f"{name}: expected true or false, got {said!r} in {shown!r}")
    return said == "true"
