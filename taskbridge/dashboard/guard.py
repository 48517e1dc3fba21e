"""What a request must be before anything looks at it: for a host of ours, and a form from a page of ours.

A page elsewhere can have a browser ask any address. A name that leads here only since a minute ago (DNS rebinding) is
no host of ours; a form sent from elsewhere says so in ``Origin`` and ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from werkzeug.exceptions import BadRequest, Forbidden, UnsupportedMediaType
from werkzeug.wrappers import Request

from ..errors import ConfigError
from ..shown.text import safe

#: The names of this machine for itself.
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

FORM = "application/x-www-form-urlencoded"

_ALLOWED = re.compile(r"\*|\.?[\w-]+(\.[\w-]+)*\.?|\[[0-9A-Fa-f:.]+\]")


class Asked(Request):
    """A request of which no more is read than a form of ours has."""

    max_content_length = 64 * 1024
    max_form_memory_size = 64 * 1024
    max_form_parts = 100


def check_host(request: Request, allowed: Sequence[str]) -> None:
    """Refuse a host that is not allowed; ``*`` allows any, ``.example.com`` those below it and itself.

    Raises:
        BadRequest: it is not.
    """
    host = _name(request.environ.get("HTTP_HOST", ""))
    if "*" in allowed or any(_fits(host, one) for one in allowed):
        return
    raise BadRequest(
        f"this dashboard does not answer as {safe(host[:80])!r}. If that is its name, whoever runs it allows it: "
        "--allowed-host, or allowed_hosts= of Dashboard"
    )


def check_form(request: Request) -> None:
    """Refuse what a page of another site has sent, or what is no form.

    Raises:
        Forbidden: it comes from elsewhere.
        UnsupportedMediaType: it is no form.
    """
    elsewhere = "this form was not sent from a page of this dashboard; open the page and send it from there"
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise Forbidden(elsewhere)
    origin, host = request.headers.get("Origin", ""), request.environ.get("HTTP_HOST", "")
    if origin and _netloc(origin) != host.lower():
        raise Forbidden(
            f"{elsewhere}. It is of {safe(origin[:80])!r}, and the dashboard was asked as {safe(host[:80])!r}: a proxy "
            "between has to pass on Host as the browser sent it, with its port"
        )
    if request.mimetype != FORM:
        raise UnsupportedMediaType(f"expected a form ({FORM}), got {safe(request.mimetype[:80]) or 'nothing'}")


def checked_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return names to allow, as they are compared.

    Raises:
        ConfigError: one has a scheme, a port or a path, so that no request could ever ask for it.
    """
    for host in hosts:
        if not _ALLOWED.fullmatch(host):
            raise ConfigError(
                "allowed hosts: expected a name without scheme and port such as tasks.example.com, .example.com, "
                f"[::1] or *, got {host!r}"
            )
    return tuple(host.lower().rstrip(".") for host in hosts)


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """A host without its port, as it is compared."""
    bare, _, port = host.rpartition(":")
    return (bare if bare and port.isdigit() else host).lower().rstrip(".")


def _fits(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith(".") and (host.endswith(allowed) or host == allowed[1:]))
