"""The client: the user's own, or one by SENTRY_DSN; in forks and in the supervisor, too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport

from taskbridge import Bridge, Settings
from taskbridge.errors import ConfigError

from .conftest import DSN, Init, Kept


def a_bridge() -> Bridge:
    return Bridge(Settings(backend="memory", observers=("sentry",)))


def test_the_users_own_client_is_used(init: Init, monkeypatch: pytest.MonkeyPatch):
    """Whatever the environment says; its DSN is not even read."""
    kept = init()
    monkeypatch.setenv("SENTRY_DSN", "not a DSN")

    a_bridge().observe()

    assert kept is sentry_sdk.get_client().transport


def test_without_one_the_environment_makes_it(init: Init, monkeypatch: pytest.MonkeyPatch):
    """By the variables that the SDK reads; nothing runs and nothing is connected before there is something to tell."""
    for name, value in (("DSN", "http://key@127.0.0.1:9/7"), ("ENVIRONMENT", "staging"), ("RELEASE", "bank@1")):
        monkeypatch.setenv(f"SENTRY_{name}", value)
    # the SDK's own integrations would patch the test's process
    monkeypatch.setattr("sentry_sdk.client.setup_integrations", lambda *_, **__: {})
    before = {*threading.enumerate()}

    a_bridge().observe()

    options = sentry_sdk.get_client().options
    assert ("http://key@127.0.0.1:9/7", "staging", "bank@1") == tuple(
        options[name] for name in ("dsn", "environment", "release")
    )
    assert [CeleryIntegration] == options["disabled_integrations"]
    assert before >= {*threading.enumerate()}


@pytest.mark.parametrize(
    "dsn", ["nonsense", "ftp://key@host/1", "https://host/1", "https://key@host/name", "https://k@h:x/1"]
)
def test_a_wrong_dsn_is_refused_and_not_repeated(dsn: str, init: Init, monkeypatch: pytest.MonkeyPatch):
    """Before anything is sent or run, with what was expected; it may hold a password."""
    monkeypatch.setenv("SENTRY_DSN", dsn)

    with pytest.raises(ConfigError, match="SENTRY_DSN: expected a DSN such as https://") as refused:
        a_bridge().sender  # noqa: B018

    assert dsn not in str(refused.value)


def test_a_supervisor_has_the_client_of_its_template(init: Init, monkeypatch: pytest.MonkeyPatch):
    """As far as it is data: the DSN that only the user's code knows, with release and environment, but no functions."""
    init(dsn="http://key@127.0.0.1:9/8", environment="staging", release="bank@2", before_send=lambda event, _: event)
    template = a_bridge()
    template.observe()
    monkeypatch.setenv("SENTRY_DSN", DSN)
    supervisor = a_bridge()
    supervisor.observing.handed = template.observing.hand_over

    supervisor.observe()

    client = sentry_sdk.get_client()
    options = [client.options[name] for name in ("dsn", "environment", "release", "before_send")]
    assert ["http://key@127.0.0.1:9/8", "staging", "bank@2", None] == options
    assert {} == client.integrations


def test_a_client_that_the_user_has_switched_off_is_off_in_the_supervisor(init: Init, monkeypatch: pytest.MonkeyPatch):
    """An empty DSN is the user's word, and the environment's does not go before it."""
    init(dsn="", transport=None)
    template = a_bridge()
    template.observe()
    sentry_sdk.get_global_scope().set_client(None)
    monkeypatch.setenv("SENTRY_DSN", DSN)
    supervisor = a_bridge()
    supervisor.observing.handed = template.observing.hand_over

    supervisor.observe()

    assert not sentry_sdk.is_initialized()


class Counted(Transport):
    """Counts how many of it were made."""

    made = 0

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        type(self).made += 1

    def capture_envelope(self, envelope: Any) -> None: ...


def in_a_fork(run: Callable[[], bool]) -> bool:
    """Whether it is true there."""
    pid = os.fork()
    if not pid:
        os._exit(not run())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_fork_sends_by_a_transport_of_its_own(init: Init):
    """What the template has begun to send is the template's: its queue, its lock and its connection."""
    init(transport=Counted)
    bridge = a_bridge()
    bridge.observe()
    made = Counted.made

    def renewed() -> bool:
        bridge.hooks.start()
        return made + 1 == Counted.made

    assert in_a_fork(renewed)
    bridge.hooks.start()
    assert made == Counted.made


def test_a_client_that_was_made_after_the_fork_is_left_alone(init: Init):
    """By a start hook of the user's, say."""
    init(transport=Counted)
    bridge = a_bridge()
    bridge.observe()

    def left_alone() -> bool:
        init(transport=Counted)
        transport = sentry_sdk.get_client().transport
        bridge.hooks.start()
        return sentry_sdk.get_client().transport is transport

    assert in_a_fork(left_alone)


class Slow(Kept):
    """Writes down how long it may take to flush."""

    flushed: list[float]

    def flush(self, timeout: float, callback: Any = None) -> None:
        self.flushed = [timeout]


def test_what_is_held_is_sent_when_the_bridge_is_closed(init: Init):
    """For a bounded time, however far away Sentry is."""
    slow = Slow()
    init(transport=slow)
    bridge = a_bridge()
    bridge.observe()

    bridge.close()

    assert [2.0] == slow.flushed
