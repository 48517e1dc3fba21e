"""How the tasks speak with the provider: start a charge, ask for it. ``POLLING_PROVIDER`` is its host and port."""

from __future__ import annotations

import json
import os
from http.client import HTTPConnection
from typing import Any

VARIABLE = "POLLING_PROVIDER"


class TooMany(Exception):
    """The provider answered 429; ``retry_after_s`` is what it said with that."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"429, again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ProviderError(Exception):
    """The provider answered what it should not."""


def start(payment: str, cents: int, within_s: float | None) -> str:
    """Have a payment charged; returns the provider's name for it.

    Args:
        payment: its id, which is the key under which the provider takes it once, however often it is told.
        cents: how much.
        within_s: how long it may take.

    Raises:
        TooMany, ProviderError, OSError: it has not been taken, as far as we know.
    """
    body = json.dumps({"cents": cents})
    said = _call("POST", "/charges", 202, within_s, body, {"Idempotency-Key": payment})
    return str(said["id"])


def ask(ref: str, within_s: float | None) -> str:
    """Return what has become of a charge: ``pending``, ``done`` or ``declined``.

    Raises:
        TooMany, ProviderError, OSError: it is not known now.
    """
    return str(_call("GET", f"/charges/{ref}", 200, within_s)["status"])


def _call(
    method: str, path: str, expected: int, within_s: float | None, body: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    host, _, port = os.environ[VARIABLE].rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=within_s)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status == 429:
        raise TooMany(float(answer.headers["Retry-After"]))
    if answer.status != expected:
        raise ProviderError(f"{method} {path}: expected {expected}, got {answer.status}: {text[:200]!r}")
    said: dict[str, Any] = json.loads(text)
    return said
