"""Sentry: one report per final failure, traces from who sends to who runs, check-ins of schedules. See observing.md.

The only importer of ``sentry_sdk``. Called before anything is sent or run; it opens nothing before something is told.
"""

from __future__ import annotations

from ...bridge import Bridge
from ...events import (
    Buried,
    ClaimRefused,
    Dropped,
    Failed,
    ParkedForRelease,
    Retried,
    Sent,
    Started,
    Succeeded,
)
from . import native
from .client import connect
from .crons import Crons
from .runs import Runs
from .traces import Traces

__all__ = ["observe"]


def observe(bridge: Bridge) -> None:
    """Tell Sentry of what this bridge sends and runs.

    Raises:
        ConfigError: ``SENTRY_DSN`` is no DSN.
    """
    connect(bridge)
    native.silence()
    traces = Traces(bridge)
    runs = Runs(bridge, traces)
    bridge.trace.inject(traces.headers)
    bridge.trace.around_sending(traces.publishing)
    bridge.trace.around_attempt(runs.enter)
    listen = bridge.events.subscribe
    listen(traces.sent, Sent)
    listen(runs.retried, Retried)
    listen(runs.failed, Failed)
    listen(runs.buried, Buried)
    listen(runs.ended, Succeeded, Dropped, ParkedForRelease, ClaimRefused)
    if bridge.settings.sentry_crons:
        crons = Crons(bridge)
        listen(crons.started, Started)
        listen(crons.succeeded, Succeeded)
        listen(crons.failed, Failed)
        listen(crons.dropped, Dropped)
