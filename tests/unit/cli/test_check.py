"""``taskbridge check``."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.announcement import Announcement, announce
from taskbridge.routing import Rule, Table
from taskbridge.routing.table import encode
from tests.rabbitmq import SomeRabbit
from tests.servers import RedisServer

from .conftest import Cli

LEVELS = ("ok", "warning", "error")


def findings(said: dict[str, Any], level: str) -> list[str]:
    """What was found of one level, each with what it is about."""
    return [f"{one['about']}: {one['text']}" for one in said["findings"] if one["level"] == level]


def test_all_is_well(cli: Cli, engine: str):
    """Settings, engine, broker, store and tasks are each looked at; plain Celery workers are warned of."""
    cli.set(BACKEND=engine)

    said = cli.json("check", "app")

    assert said["ok"]
    about = [one["about"] for one in said["findings"] if one["level"] == "ok"]
    assert ["settings", f"backend {engine}", f"broker of {engine}", "store", "tasks"] == about
    assert any("plain Celery worker deletes" in text for text in findings(said, "advice"))


def test_a_replica_that_is_waited_for_and_missing_is_found(cli: Cli, redis_server: RedisServer):
    """With what to change; and for which messages it would be waited."""
    cli.write("t.toml", "[backends.far]\nengine = 'dramatiq'\nbroker_url = 'amqp://127.0.0.1:1/'\n")
    cli.set(CONFIG="t.toml", STORE_WAIT="replica", STORE_WAIT_TIMEOUT="2")

    said = cli.json("check", "app", code=1)

    assert "store: no replica is attached to it, and store_wait is 'replica': attach one (replicaof)" in [
        text.rpartition(", or")[0] for text in findings(said, "error")
    ]
    (together,) = (text for text in findings(said, "warning") if text.startswith("store_wait: "))
    (apart,) = (text for text in findings(said, "ok") if text.startswith("store_wait: "))
    assert "changes nothing for messages on celery: its broker is the store" in together
    assert "what ends on far is acknowledged when the store's replica has it" in apart
    assert ("replica", 2.0) == (said["settings"]["store_wait"], said["settings"]["store_wait_timeout"])


def test_list_is_for_people(cli: Cli):
    """A mark for each finding."""
    cli.set(TYPO="1")

    lines = cli("check", "app").stdout.splitlines()

    assert {"✓", "!", "✗", "·"} == {line[0] for line in lines}


def test_messages_larger_than_a_broker_takes_are_found(cli: Cli, engine: str):
    """What is allowed by ``max_payload`` and would be refused when it is sent."""
    cli.set(BACKEND=engine, BROKER_URL="amqp://127.0.0.1:1/", MAX_PAYLOAD="20000000")

    said = cli.json("check", "app", code=1)

    found = [text for text in findings(said, "error") if text.startswith(f"backend {engine}:")]
    assert [f"backend {engine}: the backend {engine!r} takes messages of up to 16760832 bytes"] == [
        text.partition(",")[0] for text in found
    ]


def test_unknown_variable_is_refused(cli: Cli):
    """With the nearest known name: exit code 1, though a worker would only warn."""
    cli.set(BROKER_ULR="redis://")

    said = cli.json("check", code=1)

    assert not said["ok"]
    (text,) = findings(said, "error")
    assert "TASKBRIDGE_BROKER_ULR means nothing; did you mean 'TASKBRIDGE_BROKER_URL'?" in text


@pytest.mark.parametrize(
    ("observers", "dsn", "told"),
    [
        ("sentri", "", "observers: observers: none is called 'sentri'; did you mean 'sentry'?"),
        ("sentry", "nowhere", "observers: SENTRY_DSN: expected a DSN"),
    ],
)
def test_observers_are_looked_at(cli: Cli, monkeypatch: pytest.MonkeyPatch, observers: str, dsn: str, told: str):
    """One that nobody has, or whose settings are wrong, would stop a worker; it is said once, and of whom."""
    cli.set(OBSERVERS=observers)
    monkeypatch.setenv("SENTRY_DSN", dsn)

    (text,) = findings(cli.json("check", "app", code=1), "error")

    assert text.startswith(told)


def test_what_is_for_an_observer_that_is_not_named_is_told(cli: Cli):
    """Crons without Sentry; and those that are named are well."""
    cli.set(OBSERVERS="metrics", SENTRY_CRONS="1")

    said = cli.json("check", "app")

    assert "observers: metrics" in findings(said, "ok")
    assert any("name the observer 'sentry', too" in text for text in findings(said, "warning"))


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("backnd = 'celery'", "did you mean 'backend'?"),
        ("backend = [", "is not TOML"),
        ("max_payload = 'big'", "expected a whole number"),
        ("[backends.old]\nbroker_url = 'redis://'", "engine is missing"),
        ("[shares.'app.boom']\ndramatiq = 101", "expected 0 to 100 percent"),
    ],
)
def test_fault_in_the_file_is_found(cli: Cli, toml: str, told: str):
    """A word that nobody knows, a value that does not fit, a file that is no TOML."""
    cli.write("t.toml", toml)
    cli.set(CONFIG="t.toml")

    said = cli.json("check", code=1)

    assert told in " ".join(findings(said, "error"))
    assert said["settings"] is None


def test_settings_are_shown_without_passwords(cli: Cli, redis_server: RedisServer):
    """Wherever a URL may hold one."""
    cli.write("t.toml", "[backends.old]\nengine = 'dramatiq'\nbroker_url = 'redis://u:hush@localhost:1/0'\n")
    cli.set(CONFIG="t.toml", STORE_URL="redis://:hush@localhost:1/0?password=hush")

    said = cli.json("check", code=1)

    assert "hush" not in str(said)
    assert "redis://u:***@localhost:1/0" == said["settings"]["backends"]["old"]["broker_url"]
    assert "hush" not in cli("check").output


def test_every_broker_is_tried(cli: Cli, nowhere: str):
    """One that is away is named, the others are looked at all the same."""
    cli.write("t.toml", f"[backends.old]\nengine = 'dramatiq'\nbroker_url = '{nowhere}'\n")
    cli.set(CONFIG="t.toml")

    said = cli.json("check", code=1)

    assert any(text.startswith("broker of celery: ") for text in findings(said, "ok"))
    assert ["broker of old"] == [text.partition(":")[0] for text in findings(said, "error")]


@pytest.mark.parametrize("package", ["celery", "dramatiq"])
def test_engine_that_is_not_installed_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch, package: str):
    """With the extra to install."""
    for name in [name for name in sys.modules if name.startswith((f"{package}.", f"taskbridge_{package}.worker"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    cli.set(BACKEND=package)

    said = cli.json("check", code=1)

    (text,) = findings(said, "error")
    assert f"needs the package '{package}': pip install 'taskbridge[{package}]'" in text


def test_store_that_would_lose_data_is_named(cli: Cli):
    """With the setting to change."""
    with RedisServer(maxmemory="64mb", settings={"maxmemory-policy": "allkeys-lru"}) as server:
        cli.set(STORE_URL=server.url())

        said = cli.json("check", code=1)

    assert any("set maxmemory-policy noeviction" in text for text in findings(said, "error"))
    assert any("set appendonly yes" in text for text in findings(said, "warning"))


def test_each_module_that_does_not_import_is_found(cli: Cli):
    """And the tasks of the others are looked at."""
    cli.write("broken.py", "raise RuntimeError('\\x1b[31m')\n")

    said = cli.json("check", "broken", "app", "nowhere_at_all", code=1)

    assert 2 == len([text for text in findings(said, "error") if text.startswith("modules: ")])
    assert "tasks: 2 on queues emails, slow" in findings(said, "ok")
    assert "\x1b" not in cli("check", "broken").output


@pytest.mark.parametrize(
    ("key", "level", "told"),
    [
        ("{user_id}", "ok", "sticky by {user_id}"),
        ("{usr_id}", "error", "names 'usr_id', which the task does not have"),
        ("user", "error", "expected a template of arguments"),
    ],
)
def test_key_of_a_share_names_arguments_of_its_task(cli: Cli, key: str, level: str, told: str):
    """A key that names none would fail at the first enqueue."""
    cli.write("t.toml", f"[shares.'app.send_report']\ndramatiq = 25\nkey = '{key}'\n")
    cli.set(CONFIG="t.toml")

    said = cli.json("check", "app", code=int(level == "error"))

    assert told in " ".join(findings(said, level))


def test_share_of_an_unknown_task_is_found(cli: Cli):
    """With the nearest that is declared."""
    cli.write("t.toml", "[shares.'app.bom']\ndramatiq = 25\n")
    cli.set(CONFIG="t.toml")

    assert "did you mean 'app.boom'?" in " ".join(findings(cli.json("check", "app"), "warning"))


@pytest.mark.parametrize(
    ("words", "level", "told"),
    [
        ("task = 'app.boom'\ncron = '0 6 * * *'", "ok", "schedules: 1: nightly"),
        ("task = 'app.bom'\ncron = '0 6 * * *'", "warning", "did you mean 'app.boom'?"),
        ("task = 'app.send_report'\nevery = '5m'", "error", "schedules.nightly: missing a required argument"),
        ("task = 'app.boom'\ncron = '0 0 30 2 *'", "error", "never fires"),
        ("task = 'app.boom'\ncron = '0 6 * * *'\ntz = 'Mars/Base'", "error", "expected a zone"),
    ],
)
def test_schedules_of_the_file_are_looked_at(cli: Cli, words: str, level: str, told: str):
    """As a worker would refuse them when it starts."""
    cli.write("t.toml", f"[schedules.nightly]\n{words}\n")
    cli.set(CONFIG="t.toml")

    said = cli.json("check", "app", code=int(level == "error"))

    assert told in " ".join(findings(said, level))
    assert "nightly" in said["settings"]["schedules"]


def test_queue_that_an_engine_cannot_have_is_found(cli: Cli):
    """Dramatiq takes fewer names than Celery; a prefix can make one that it refuses."""
    cli.set(BACKEND="dramatiq", QUEUE_PREFIX="prod:")

    said = cli.json("check", "app", code=1)

    assert "backend dramatiq: the engine 'dramatiq' does not take these tasks" in " ".join(findings(said, "error"))


def test_a_broker_other_than_redis_is_asked_too(cli: Cli, engine: str, rabbit: SomeRabbit, redis_server: RedisServer):
    """It answers; and a task that may outlast its patience is told of."""
    url = rabbit.url(consumer_timeout=60)
    cli.set(BACKEND=engine, BROKER_URL=url, STORE_URL=redis_server.url(), HARD_TIMEOUT="90")

    said = cli.json("check", "app")

    assert said["ok"]
    assert any("guest:***@" in text and "answers; 0 messages wait" in text for text in findings(said, "ok"))
    assert any("may run 90 s, and the broker waits 60 s" in text for text in findings(said, "warning"))


def test_a_broker_that_refuses_us_is_an_error(cli: Cli, engine: str, rabbit: SomeRabbit, redis_server: RedisServer):
    """With its own words, and without the password."""
    url = rabbit.url().replace("guest:guest", "guest:hush")
    cli.set(BACKEND=engine, BROKER_URL=url, STORE_URL=redis_server.url())

    said = cli.json("check", "app", code=1)

    (text,) = findings(said, "error")
    assert text.startswith(f"broker of {engine}: the broker amqp://guest:***@")
    assert "ACCESS_REFUSED" in text
    assert "hush" not in str(said)


def test_routes_are_looked_at(cli: Cli, bridge: Bridge):
    """What leads where is told; what leads nowhere from here is wrong; what nobody would take is a risk."""
    told = Announcement(name="w", backends=["dramatiq"], queues=["emails"], processes=1, tasks={"app.send_report": []})
    announce(bridge.store, told)
    rules = [
        Rule(id="r1", to="dramatiq", task="app.send_report"),
        Rule(id="r2", to="dramatiq", task="app.send_report", share=5),
        Rule(id="r3", to="dramatiq", task="app.boom"),
        Rule(id="r4", to="gone", task="app.boom", share=5),
    ]
    bridge.store.routes.write(0, encode(Table(rules=tuple(rules))), who="me", note="")

    said = cli.json("check", "app", code=1)

    found = {level: [text for text in findings(said, level) if text.startswith("routes: ")] for level in LEVELS}
    assert ["routes: r1, version 1: 100 % of task app.send_report to dramatiq"] == found["ok"]
    assert ["r2", "r3"] == [text[8:10] for text in found["warning"]]
    assert "it can never match: 100 % of task app.send_report" in found["warning"][0]
    assert "no live worker on 'dramatiq' takes app.boom of queue slow" in found["warning"][1]
    assert ["routes: r4, 5 % of task app.boom to gone: no backend is called 'gone'"] == [
        text.partition(";")[0] for text in found["error"]
    ]


def test_routes_of_a_newer_release_are_told(cli: Cli, bridge: Bridge):
    """They do not hold here."""
    bridge.store.routes.write(0, b'{"word":1}', who="me", note="")

    assert any("cannot be read by this release" in text for text in findings(cli.json("check", code=1), "error"))
