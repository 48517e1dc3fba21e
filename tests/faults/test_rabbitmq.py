"""RabbitMQ is stopped, killed, or closes its connections, and workers of both engines die meanwhile."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.rabbitmq import RabbitServer

from ..servers import until
from .harness import ENGINES, Stage, Tally
from .producing import while_producing

pytestmark = [pytest.mark.service("rabbitmq"), pytest.mark.timeout(200)]

Trouble = Callable[[RabbitServer, list[Stage]], None]


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitServer]:
    """A RabbitMQ that may be stopped."""
    with RabbitServer() as server:
        yield server


@pytest.fixture
def stage(engine: str, node: RabbitServer, tmp_path: Path) -> Iterator[Stage]:
    """A stage whose broker is a virtual host of its own."""
    url = node.new_vhost(f"{tmp_path.name}-{random.randrange(10**9)}")
    with Stage(engine, tmp_path / "stage", broker=lambda: url) as stage:
        yield stage


def play(node: RabbitServer, folder: Path, trouble: Trouble) -> dict[str, Tally]:
    """Have trouble with a node while both engines produce and work on it; returns what came of it, by engine."""
    over = threading.Event()
    with ExitStack() as stack:
        urls = {engine: node.new_vhost(f"{folder.name}-{engine}") for engine in ENGINES}
        stages = [
            stack.enter_context(Stage(engine, folder / engine, broker=lambda url=url: url))
            for engine, url in urls.items()
        ]
        with ThreadPoolExecutor(len(stages)) as pool:
            played = {
                stage.engine: pool.submit(while_producing, stage, "", lambda: over.wait() and None) for stage in stages
            }
            try:
                until(lambda: all(stage.evidence.look().ends for stage in stages), 60, "both engines work")
                trouble(node, stages)
            finally:
                over.set()
            return {engine: one.result() for engine, one in played.items()}


def close_and_kill(node: RabbitServer, stages: list[Stage]) -> None:
    """An operator closes all connections, five times, and children are killed."""
    for _ in range(5):
        time.sleep(random.uniform(0.3, 0.8))
        node.close_connections()
        for stage in stages:
            stage.kills += stage.workers[0].kill_a_child()


def stop_and_start(node: RabbitServer, stages: list[Stage]) -> None:
    """The application is stopped for three seconds, and started."""
    node.control("stop_app")
    time.sleep(3)
    node.control("start_app")
    time.sleep(1)


def kill_and_start(node: RabbitServer, stages: list[Stage]) -> None:
    """The whole node is killed, and started."""
    node.stop(signal.SIGKILL)
    node.start()
    time.sleep(1)


@pytest.mark.parametrize("trouble", [close_and_kill, stop_and_start, kill_and_start])
def test_no_trouble_with_the_broker_loses_or_doubles_a_message(
    trouble: Trouble, node: RabbitServer, tmp_path: Path, figures: Callable[[Tally], None]
):
    """What was confirmed runs, and has its effect once, on both engines; only a killed child makes a repeat."""
    played = play(node, tmp_path / trouble.__name__, trouble)

    for tally in played.values():
        figures(tally)
    for tally in played.values():
        assert (0, 0) == (tally.lost, tally.doubled), tally
        assert tally.repeated <= tally.more["kills"], tally
        assert tally.sent > 100, tally
