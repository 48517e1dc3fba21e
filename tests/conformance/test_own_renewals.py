"""What the engines' own workers hold stays hidden from others, on brokers that hide what was fetched for a time only.

Of what wants no ledger nobody would recognise a copy: it would run again and again, beside itself.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from taskbridge import Bridge, Settings
from tests.servers import RedisServer, until
from tests.sqs import ENVIRONMENT, SqsServer

from .running import running

pytestmark = [pytest.mark.service("redis"), pytest.mark.service("sqs")]

#: What is fetched is hidden for 5 s in place of 45 and 30: a busy machine may halt a process for one or two.
BRIEF = """
import os
import taskbridge.backend
import taskbridge.sqs.queues

taskbridge.backend.VISIBILITY_MS = 5_000
taskbridge.sqs.queues.VISIBILITY_S = 5
if os.environ["TASKBRIDGE_BACKEND"] == "celery":
    from taskbridge_celery.command import app
else:
    from taskbridge_dramatiq.command import broker
"""

TASKS = """
import time
from pathlib import Path
from taskbridge import task

def write(name, n):
    with open(Path(__file__).with_name(name), "a") as file:
        print(n, file=file)

@task(name="held.works", queue="held", ledger=False)
def works(n: int, seconds: float) -> None:
    write("starts", n)
    time.sleep(seconds)
    write("ends", n)
"""

CELERY = "celery -A brief worker -I held_tasks -c 1 -Q held --without-mingle"
DRAMATIQ = "dramatiq brief:broker held_tasks -p 1 -t 1 -Q held-dramatiq"

CASES = {
    "celery on redis": ("redis", CELERY),
    "celery solo on redis": ("redis", f"{CELERY} -P solo"),
    "celery on sqs": ("sqs", CELERY.replace("-c 1", "-c 2")),
    "dramatiq on sqs": ("sqs", DRAMATIQ),
}


def numbers(file: Path) -> Counter[int]:
    """How often each was written."""
    return Counter(map(int, file.read_text().split())) if file.exists() else Counter()


def an_sqs(stack: ExitStack) -> str:
    """Start one whose queue hides for 5 s where its reader says nothing, as kombu does; returns its URL."""
    sqs = stack.enter_context(SqsServer())
    sqs.client().create_queue(QueueName="held", Attributes={"VisibilityTimeout": "5"})
    return sqs.url()


def play(broker: str, command: str, folder: Path) -> Counter[int]:
    """Have one run for three times as long as it is hidden, beside a free worker; returns how often each began."""
    (folder / "brief.py").write_text(BRIEF)
    (folder / "held_tasks.py").write_text(TASKS)
    engine = command.partition(" ")[0]
    with ExitStack() as stack:
        store = stack.enter_context(RedisServer())
        url = store.url(db=1) if broker == "redis" else an_sqs(stack)
        bridge = stack.enter_context(closing(Bridge(Settings(backend=engine, broker_url=url, store_url=store.url()))))
        works = bridge.external("held.works", queue="held")
        environment = os.environ | ENVIRONMENT | {"TASKBRIDGE_BACKEND": engine, "TASKBRIDGE_BROKER_URL": url}
        environment |= {"TASKBRIDGE_STORE_URL": store.url(), "PYTHONPATH": str(folder)}
        stack.enter_context(running([command.split()] * 2, environment, folder / "log", folder))
        for n, seconds in ((1, 15.0), (2, 0.0)):
            works.enqueue(n, seconds)
        ends = folder / "ends"
        until(lambda: {*numbers(ends)} == {1, 2}, 60, "both to end")
        works.enqueue(3, 0.0)  # behind all copies
        until(lambda: 3 in numbers(ends), 30, "one behind them to end")
        return numbers(folder / "starts")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Future[Counter[int]]]]:
    """All of them at the same time, for each mostly waits."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        futures = {
            name: pool.submit(play, *case, tmp_path_factory.mktemp(name.replace(" ", "-")))
            for name, case in CASES.items()
        }
        yield futures.__getitem__


@pytest.mark.parametrize("case", CASES)
def test_what_an_engines_own_worker_holds_comes_to_no_other(case: str, played: Callable[[str], Future[Counter[int]]]):
    """What runs begins once, and what waits in its hands does."""
    assert {1: 1, 2: 1, 3: 1} == played(case).result()
