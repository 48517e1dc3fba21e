"""The client: whoever has called ``sentry_sdk.init`` has it; where nobody has, ``SENTRY_DSN`` does.

The latter has the SDK's defaults, but not its integration for Celery: of our tasks it would tell nothing, and cost each
of them more than all else that is observed.
A supervisor imports nothing of the user's: its template hands it what the client was made with, as far as that is data.
A fork of a process that has sent something gets a transport of its own, whose thread and queue are its own.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import sentry_sdk
from sentry_sdk.integrations import DidNotEnable
from sentry_sdk.transport import make_transport

from ...bridge import Bridge
from ...errors import ConfigError

log = logging.getLogger("taskbridge")

NAME = "sentry"

#: How long what is held may take to be sent when a process ends, seconds.
FLUSH_S = 2.0

#: What of a client is data, and of use to a supervisor's.
HANDED = (
    "dsn", "environment", "release", "dist", "server_name", "sample_rate", "http_proxy", "https_proxy", "ca_certs",
    "cert_file", "key_file", "keep_alive", "debug",
)  # fmt: skip


def connect(bridge: Bridge) -> None:
    """See that there is a client, if anybody wants one.

    Raises:
        ConfigError: the DSN is none.
    """
    if bridge.observing.handed is not None:
        _init(default_integrations=False, **bridge.observing.handed.get(NAME, {}).get("client", {}))
    elif not sentry_sdk.is_initialized():
        _init(disabled_integrations=_of_celery())
    client = sentry_sdk.get_client()
    if client.is_active():
        handed = bridge.observing.hand_over.setdefault(NAME, {})
        handed["client"] = {name: client.options.get(name) for name in HANDED}
    elif bridge.observing.handed is None:
        log.warning("nothing is reported to Sentry: set SENTRY_DSN, or call sentry_sdk.init() where tasks are declared")
    bridge.hooks.on_worker_start(_Fork(os.getpid()).take)
    bridge.observing.on_flush(flush)


def flush() -> None:
    """Send what is held, for as long as that may take at most."""
    sentry_sdk.flush(timeout=FLUSH_S)


class _Fork:
    """A process that runs tasks, when it is not the one that has made the client."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._client = sentry_sdk.get_client()

    def take(self) -> None:
        client: Any = sentry_sdk.get_client()
        if os.getpid() != self._pid and client is self._client and client.transport is not None:
            client.transport = transport = make_transport(client.options)
            if client.monitor is not None and transport is not None:
                client.monitor.transport = transport


def _of_celery() -> list[Any]:
    try:
        from sentry_sdk.integrations.celery import CeleryIntegration
    except DidNotEnable:  # there is no Celery here
        return []
    return [CeleryIntegration]


def _init(**options: Any) -> None:
    if not (options.get("dsn") or ("dsn" not in options and os.environ.get("SENTRY_DSN"))):
        return
    try:
        sentry_sdk.init(**options)
    except ValueError as error:  # BadDsn is one; it says what is wrong and not the whole, which may hold a password
        raise ConfigError(
            f"SENTRY_DSN: expected a DSN such as https://key@o1.ingest.sentry.io/2, as Sentry shows it: {error}"
        ) from None
