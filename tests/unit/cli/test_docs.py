"""The reference of the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from taskbridge import Bridge
from taskbridge.announcement import Announcement, Known, announce
from taskbridge.cli import Verbs
from taskbridge.testing import a_message
from taskbridge.testing.laws.chunks import a_run, start

from .conftest import Cli, settled

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")

COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


def test_every_example_of_the_reference_works(cli: Cli, bridge: Bridge):
    """Each command, in the order of the page, on the module that the page shows; others try those that run on."""
    (module,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    cli.write("app.py", module)
    settled(bridge.store, a_message(id="DEAD", queue="emails"), "DEAD", why="no")
    bridge.store.batches.open("BATCH", when="all_done", then=None, error=None)
    live = {"app.send_report": Known(queue="emails"), "app.boom": Known(queue="slow")}
    live["app.score"] = Known(queue="slow", shadow_safe=True)
    tasks = {"app.send_report": ["day", "user_id"], "app.boom": ["text"], "app.score": ["user_id"]}
    backends, queues = ["celery", "dramatiq"], ["emails", "slow"]
    announce(
        bridge.store,
        Announcement(name="w", backends=backends, queues=queues, processes=1, tasks=tasks, known=live),
    )
    bridge.store.claims.release(start(bridge.store, message=a_run(id="RUN")).id, "c0")

    for command in COMMANDS:
        _, verb, *words = shlex.split(command, comments=True)
        if verb not in ("dashboard", "relay", "worker") and "--listen" not in words:
            result = cli(verb, *words)
            assert 0 == result.exit_code, f"{command}: {result.output}"


def test_every_verb_is_in_the_reference():
    """With an example."""
    assert set(Verbs.names) == {shlex.split(command, comments=True)[1] for command in COMMANDS}
