"""``taskbridge limits``."""

from __future__ import annotations

import pytest

from taskbridge import Bridge
from taskbridge.needs import NeedsTokens
from taskbridge.store import Begin
from taskbridge.testing import a_message

from .conftest import Cli

TASKS = """
from taskbridge import RateLimit, task


@task(rate_limit=RateLimit("70/s", key="{bank}", name="provider"))
def send(bank: int) -> None: ...
"""


def test_limits_are_listed_with_who_waits(cli: Cli, bridge: Bridge):
    """Declared by the module, set at run time, and how many wait at how many keys."""
    cli.write("app.py", TASKS)
    for n in range(4):
        need = NeedsTokens("provider", f"provider:{n % 2}", 60_000_000, 1)
        request = Begin(message=a_message(), body=b"x", claim=f"c{n}", max_crashes=5, rates=(need,))
        bridge.store.claims.begin(request)

    before = cli.json("limits", "list", "--module", "app")["limits"]
    assert 0 == cli("limits", "set", "provider", "10/s").exit_code
    after = cli.json("limits", "list")["limits"]

    assert [{"name": "provider", "declared": "70/s, burst 7 per {bank}", "set": "", "paused": False}] == [
        {key: one[key] for key in ("name", "declared", "set", "paused")} for one in before
    ]
    assert [("10/s, burst 2", 2, 2)] == [(one["set"], one["keys"], one["waiting"]) for one in after]
    assert "provider" in cli("limits", "list").stdout


def test_limit_is_paused_and_goes_on_as_before(cli: Cli, bridge: Bridge):
    """What was set stays through a pause; ``0/s`` is one; ``reset`` gives the task's word back."""
    cli("limits", "set", "provider", "10/s", "--burst", "5")
    cli("limits", "pause", "provider")
    (paused,) = bridge.store.waiting.limits()
    cli("limits", "resume", "provider")
    (resumed,) = bridge.store.waiting.limits()
    cli("limits", "set", "provider", "0/s")
    (zero,) = bridge.store.waiting.limits()
    cli("limits", "reset", "provider")

    assert (True, 100_000, 5) == (paused.paused, paused.interval_us, paused.burst)
    assert (False, 100_000, 5) == (resumed.paused, resumed.interval_us, resumed.burst)
    assert zero.paused
    assert [] == bridge.store.waiting.limits()


def test_new_rate_does_not_end_a_pause(cli: Cli, bridge: Bridge):
    """It holds when the limit is resumed."""
    cli("limits", "pause", "provider")
    cli("limits", "set", "provider", "10/s")
    (paused,) = bridge.store.waiting.limits()
    cli("limits", "resume", "provider")
    (resumed,) = bridge.store.waiting.limits()

    assert [(True, 100_000), (False, 100_000)] == [(one.paused, one.interval_us) for one in (paused, resumed)]


def test_what_cannot_be_is_refused(cli: Cli):
    """A rate that is none, a name that no limit has, a limit that is not paused or was not set."""
    said = [
        cli("limits", *words)
        for words in (("set", "p", "many"), ("set", "a b", "1/s"), ("resume", "p"), ("reset", "p"))
    ]

    assert [1] * 4 == [one.exit_code for one in said]
    assert "expected a rate such as 70/s" in said[0].output
    assert "expected a word without blanks" in said[1].output
    assert "is not paused" in said[2].output
    assert "nothing was set" in said[3].output


@pytest.mark.parametrize("words", [("pause",), ("set", "10/s")], ids=["pause", "set"])
def test_limit_that_nobody_has_is_remarked_on(cli: Cli, bridge: Bridge, words: tuple[str, ...]):
    """A typo would change nothing; code may have it all the same, so it is done."""
    cli.write("app.py", TASKS)
    verb, *rate = words

    typo = cli("limits", verb, "provdier", *rate, "--module", "app")
    right = cli("limits", verb, "provider", *rate, "--module", "app")

    assert (0, 0) == (typo.exit_code, right.exit_code)
    told = "no limit is called 'provdier', as far as live workers, the store and the tasks here tell"
    assert f"taskbridge: {told}; did you mean 'provider'?" == typo.stderr.strip()
    assert "" == right.stderr
    assert {"provdier", "provider"} == {one.name for one in bridge.store.waiting.limits()}
