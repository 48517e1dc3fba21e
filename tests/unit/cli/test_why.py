"""``taskbridge why``."""

from __future__ import annotations

import msgspec

from taskbridge import Bridge
from taskbridge.testing import a_message

from .conftest import Cli, settled


def test_story_is_told_in_lines(cli: Cli, bridge: Bridge):
    """What has happened with how long ago, how it died, what can be done; nothing in it steers the terminal."""
    kwargs = msgspec.Raw(b'{"token":"hush","text":"\\u001b[31m\\u202e"}')
    message = a_message(task="evil.\x1b[2J", kwargs=kwargs, enqueued_at_ms=bridge.store.now_ms() - 60_000)
    settled(bridge.store, message, "DEAD", why="OSError:\x1b[31m no", traceback="Traceback\n  boom\x07")

    result = cli("why", message.id)

    assert 0 == result.exit_code
    for expected in (f"{message.id}: dead", "1 min", "ago  enqueued", "dead after", "boom", "[Filtered]"):
        assert expected in result.stdout
    assert f"taskbridge dead replay {message.id}" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "hush" not in result.stdout


def test_story_is_told_in_json(cli: Cli, bridge: Bridge):
    """The same, for programs."""
    message = settled(bridge.store, a_message(enqueued_at_ms=5), "DELAYED", counted=True, due_ms=60_000, why="no")

    said = cli.json("why", message.id)

    assert ["enqueued", "begun", "retried"] == [step["what"] for step in said["steps"]]
    assert ("delayed", 2, [], {}) == (said["state"], said["attempt"], said["args"], said["kwargs"])
    assert "time" == said["waits"][0]["kind"]


def test_unknown_id_is_an_exit_code(cli: Cli, bridge: Bridge):
    """What could be done is said."""
    result = cli("why", "nobody")

    assert 1 == result.exit_code
    assert "taskbridge why nobody --scan 1000" in result.stdout
