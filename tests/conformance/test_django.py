"""A Django project on PostgreSQL under every kind of worker, whose connections the server ends in the middle.

The project's connections are persistent, with Django's health checks: what a restart of PostgreSQL leaves behind are
connections that look open.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskbridge import Bridge, Settings
from tests.servers import RedisServer, missing, until

from .running import bands_of, commands_of, running

pytestmark = pytest.mark.service("postgres")

HOST, USER = "127.0.0.1", "postgres"

CASES = list(product(("celery", "dramatiq"), ("ours", "native")))

QUEUE = "ledger"

#: How long a worker may take to start beside three others, and to do what it is sent, seconds.
PATIENCE_S = 60.0

#: How many of a kind are sent at a time.
COUNT = 10

SETTINGS = """
SECRET_KEY = "not one"
INSTALLED_APPS = ["bank"]
USE_TZ = True
LOGGING = {{"version": 1}}  # silences, by Django's default, every logger that was there before
CACHES = {{"default": {{"BACKEND": "bank.cache.Noted"}}}}
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "{name}", "HOST": "127.0.0.1", "USER": "postgres",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }}
}}
"""

MODELS = """
from django.db import models

class Entry(models.Model):
    n = models.IntegerField()
"""

CACHE = """
from pathlib import Path
from django.core.cache.backends.locmem import LocMemCache

class Noted(LocMemCache):
    def close(self, **_):
        with open(Path(__file__).parent.parent / "closed", "a") as file:
            file.write("closed" + chr(10))
"""

TASKS = """
import json
import os
import time
from functools import partial
from pathlib import Path

from django.core.cache import cache
from django.db import connection, transaction

from bank.models import Entry       # needs django.setup(), or it raises AppRegistryNotReady
from taskbridge import Backoff, current, task

HERE = Path(__file__).parent.parent
AGAIN = Backoff(max_retries=2, base=0.01)

Entry.objects.count()               # a module that asks the database while it is imported

def note(what, n, **more):
    line = {"what": what, "n": n, "attempt": current().attempt, "process": os.getpid(), **more}
    with open(HERE / "notes", "a") as file:
        file.write(json.dumps(line) + chr(10))

def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

@task(queue="ledger", retry=AGAIN)
def book(n: int) -> None:
    Entry.objects.create(n=n)
    note("book", n, backend=backend())

@task(queue="ledger", retry=AGAIN)
async def book_async(n: int) -> None:
    await Entry.objects.acreate(n=n)
    note("book_async", n)

@task(queue="ledger", retry=AGAIN)
def hold(n: int) -> None:
    note("hold", n, backend=backend())
    while not (HERE / "gate").exists():
        time.sleep(0.01)
    Entry.objects.create(n=n)
    note("held", n)

@task(queue="ledger", retry=AGAIN)
def pays(n: int) -> None:
    with current().inbox(connection) as fresh:
        Entry.objects.create(n=n)
    cache.set("paid", n)
    note("pays", n, fresh=fresh)
    if current().attempt == 1:
        raise ValueError("after the commit")

@task(queue="ledger", retry=None)
def reads(n: int) -> None:
    note("reads", n, found=Entry.objects.filter(n=n).count())

@task(queue="ledger", retry=None)
def orders(n: int, changes_its_mind: bool) -> None:
    try:
        with transaction.atomic():
            Entry.objects.create(n=n)
            transaction.on_commit(partial(reads.enqueue, n))
            note("orders", n)
            if changes_its_mind:
                raise KeyError
    except KeyError:
        pass
"""


class Project:
    """A Django project in a folder, with a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"django_{uuid.uuid4().hex}"
        (folder / "bank").mkdir()
        for file, text in {
            "site_settings.py": SETTINGS.format(name=self.name),
            "bank/__init__.py": "",
            "bank/cache.py": CACHE,
            "bank/models.py": MODELS,
            "bank/tasks.py": TASKS,
        }.items():
            (folder / file).write_text(text)
        with connected("postgres") as server:
            server.execute(f"CREATE DATABASE {self.name}")
        with connected(self.name) as database:
            database.execute("CREATE TABLE bank_entry (id BIGSERIAL PRIMARY KEY, n INTEGER NOT NULL)")

    def close(self) -> None:
        with connected("postgres") as server:
            server.execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def notes(self, what: str = "") -> list[dict[str, Any]]:
        """What the tasks wrote down."""
        file = self.folder / "notes"
        text = file.read_text() if file.exists() else ""
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]  # one may be half written
        return [line for line in lines if what in ("", line["what"])]

    def entries(self) -> list[int]:
        """What is committed."""
        with connected(self.name) as database:
            return [n for (n,) in database.execute("SELECT n FROM bank_entry ORDER BY n")]

    def terminate(self) -> int:
        """End every connection but our own, as a restart of PostgreSQL does; returns how many there were."""
        with connected(self.name) as database:
            others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            (ended,) = database.execute(f"SELECT count(pg_terminate_backend(pid)) FROM {others}").fetchone() or (0,)
            count = f"SELECT count(*) FROM {others}"
            until(lambda: database.execute(count).fetchone() == (0,), 10, "all connections to be gone")
            return int(ended)


def connected(name: str) -> psycopg.Connection:
    return psycopg.connect(host=HOST, user=USER, dbname=name, autocommit=True)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of one worker's tasks."""

    notes: list[dict[str, Any]]
    entries: list[int]
    terminated: list[int]
    closed: list[str]
    log: str

    def of(self, *whats: str) -> list[dict[str, Any]]:
        return [line for line in self.notes if line["what"] in whats]


def play(engine: str, kind: str, url: str, project: Project) -> Seen:
    """Two processes book; their connections are ended while all is idle, and again while a task runs."""
    bridge = Bridge(Settings(backend=engine, broker_url=url))
    environment = os.environ | {
        "TASKBRIDGE_BACKEND": engine,
        "TASKBRIDGE_BROKER_URL": url,
        "DJANGO_SETTINGS_MODULE": "site_settings",
    }
    log = project.folder / "log"

    def send(name: str, *args: Any) -> None:
        bridge.external(f"bank.tasks.{name}", queue=QUEUE).enqueue(*args)

    def wait(what: str, count: int) -> None:
        try:
            until(lambda: len(project.notes(what)) >= count, PATIENCE_S, f"{count} of {what}")
        except AssertionError as error:
            error.add_note(log.read_text()[-3000:])
            raise

    def book(first: int) -> None:
        for n in range(first, first + COUNT):
            send("book", n)
            send("book_async", n)
        wait("book", first + COUNT)
        wait("book_async", first + COUNT)

    terminated = []
    with (
        closing(bridge),
        running(commands_of(engine, kind, "bank.tasks", bands_of(QUEUE), 2), environment, log, project.folder),
    ):
        book(0)
        terminated.append(project.terminate())
        book(COUNT)
        send("hold", 1000)
        wait("hold", 1)
        terminated.append(project.terminate())
        (project.folder / "gate").touch()
        wait("held", 1)
        book(2 * COUNT)
        send("pays", 2000)
        send("orders", 3000, False)
        send("orders", 3001, True)
        wait("pays", 2)
        wait("orders", 2)
        wait("reads", 1)
        book(3 * COUNT)
    return Seen(
        notes=project.notes(),
        entries=project.entries(),
        terminated=terminated,
        closed=(project.folder / "closed").read_text().split(),
        log=log.read_text(),
    )


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Project]]:
    try:
        connected("postgres").close()
    except psycopg.OperationalError as error:
        missing(f"no PostgreSQL at {HOST}: {error}")
    made = [Project(tmp_path_factory.mktemp("-".join(case))) for case in CASES]
    yield made
    for project in made:
        project.close()


@pytest.fixture(scope="module")
def played(redis_server: RedisServer, projects: list[Project]) -> dict[tuple[str, str], Future[Seen]]:
    """All workers at the same time."""
    redis_server.cli().flushall()
    with ThreadPoolExecutor(len(CASES)) as pool:
        return {
            case: pool.submit(play, *case, redis_server.url(db=number), project)
            for number, (case, project) in enumerate(zip(CASES, projects, strict=True))
        }


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def seen(case: tuple[str, str], played: dict[tuple[str, str], Future[Seen]]) -> Seen:
    return played[case].result()


def test_a_connection_that_was_ended_fails_no_task(seen: Seen):
    """What runs after it opens another, in ``async def`` tasks too: every one ran once, in its first attempt."""
    for what in ("book", "book_async"):
        ran = [(line["n"], line["attempt"]) for line in seen.of(what)]
        assert [(n, 1) for n in range(4 * COUNT)] == sorted(ran), seen.log[-4000:]
    assert sorted([*range(4 * COUNT)] * 2) == [n for n in seen.entries if n < 4 * COUNT]


def test_a_task_whose_connection_is_ended_runs_again(seen: Seen):
    """The attempt fails, as it must; its next one has a connection."""
    assert [1, 2] == [line["attempt"] for line in seen.of("hold")]
    assert [2] == [line["attempt"] for line in seen.of("held")]
    first, second = (line["backend"] for line in seen.of("hold"))
    assert first != second
    assert 1 == seen.entries.count(1000)
    assert 0 not in seen.terminated


def test_processes_share_no_connection(seen: Seen):
    """Though the module that holds the tasks opened one when it was imported, before the fork."""
    users = defaultdict(set)
    for line in seen.of("book"):
        users[line["backend"]].add(line["process"])

    assert 2 == len({line["process"] for line in seen.of("book")})
    assert {1} == {len(processes) for processes in users.values()}


def test_persistent_connections_persist(case: tuple[str, str], seen: Seen):
    """``CONN_MAX_AGE`` is kept on both engines: a process has a new one only when the old one was ended.

    Celery's own command is the exception, for it has Celery's own fix-up for Django.
    """
    backends = defaultdict(set)
    for line in seen.of("book"):
        backends[line["process"]].add(line["backend"])

    kept = all(len(found) <= 1 + len(seen.terminated) for found in backends.values())
    assert (case != ("celery", "native")) == kept, backends


def test_caches_are_closed(seen: Seen):
    """After each run that used one, as after a web request."""
    assert len(seen.of("pays")) <= len(seen.closed)


def test_the_inbox_is_one_with_django(seen: Seen):
    """An attempt that failed after its commit does not pay again."""
    assert [True, False] == [line["fresh"] for line in seen.of("pays")]
    assert 1 == seen.entries.count(2000)


def test_what_is_enqueued_on_commit_finds_the_row(seen: Seen):
    """It is sent when the row is there, and never when the transaction was rolled back."""
    assert {3000, 3001} == {line["n"] for line in seen.of("orders")}
    assert [(3000, 1)] == [(line["n"], line["found"]) for line in seen.of("reads")]
    assert (1, 0) == (seen.entries.count(3000), seen.entries.count(3001))


@pytest.mark.parametrize("engine", ["celery", "dramatiq"])
def test_the_worker_is_heard_whatever_logging_says(engine: str, played: dict[tuple[str, str], Future[Seen]]):
    """Django's ``LOGGING`` without ``disable_existing_loggers`` silences others, not the worker's own log."""
    assert "bank.tasks.pays" in played[engine, "ours"].result().log
    assert "failed and runs again" in played[engine, "ours"].result().log


def test_the_command_line_sets_django_up(projects: list[Project], redis_server: RedisServer):
    """Verbs that import tasks do; settings that do not import are named."""
    environment = os.environ | {"TASKBRIDGE_BACKEND": "celery", "TASKBRIDGE_BROKER_URL": redis_server.url(db=9)}

    def check(settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskbridge", "tasks", "bank.tasks", "--chdir", str(projects[0].folder)],
            env=environment | {"DJANGO_SETTINGS_MODULE": settings}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    right, wrong = check("site_settings"), check("site_setings")

    assert (0, True) == (right.returncode, "bank.tasks.book" in right.stdout), right.stderr
    assert 1 == wrong.returncode
    assert "DJANGO_SETTINGS_MODULE is 'site_setings', and Django does not start with it" in wrong.stderr
    assert "No module named 'site_setings'" in wrong.stderr
