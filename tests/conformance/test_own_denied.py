"""A store that denies what it is asked, a password that was changed: no engine's own command lets go of a message."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from tests.servers import HOST, RedisServer, until

from .running import bands_of, commands_of, running

pytestmark = pytest.mark.service("redis")

TASKS = """
from pathlib import Path
from taskbridge import task

@task(name="denied.works", queue="denied")
def works(n: int) -> None:
    with open(Path(__file__).with_name("runs"), "a") as file:
        print(n, file=file)
"""


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_what_a_denying_store_cannot_be_told_stays_with_the_broker(engine: str, tmp_path: Path):
    """Whoever raised would have the engine acknowledge it; it runs when access is granted again."""
    (tmp_path / "denied_tasks.py").write_text(TASKS)
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        admin = server.cli()
        admin.execute_command("ACL", "SETUSER", "store", "on", ">secret", "~*", "&*", "+@all")
        store, broker = f"redis://store:secret@{HOST}:{server.port}/0", server.url(db=1)
        bridge = Bridge(Settings(backend=engine, broker_url=broker, store_url=server.url()))
        works = stack.enter_context(closing(bridge)).external("denied.works", queue="denied")
        environment = os.environ | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": broker}
        environment |= {"TASKBRIDGE_STORE_URL": store, "PYTHONPATH": str(tmp_path)}
        (command, *_) = commands_of(engine, "native", "denied_tasks", bands_of("denied"))
        log, runs = tmp_path / "log", tmp_path / "runs"
        stack.enter_context(running([command], environment, log, tmp_path))
        works.enqueue(0)
        until(runs.exists, 60, "the first to run")

        admin.execute_command("ACL", "SETUSER", "store", "-evalsha", "-eval")
        for n in (1, 2, 3):
            works.enqueue(n)
        until(lambda: "denies access" in log.read_text(), 30, "a worker to be denied")
        admin.execute_command("ACL", "SETUSER", "store", "+@all")

        until(lambda: sorted(runs.read_text().split()) == ["0", "1", "2", "3"], 30, "all to run")
