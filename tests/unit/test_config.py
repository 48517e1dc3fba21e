"""Settings: file, then environment, then code; what nobody knows is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskbridge import Bridge
from taskbridge.config import (
    BackendSettings,
    GroupSettings,
    ScheduleSettings,
    Settings,
    Share,
    load,
    load_groups,
    unknown_variables,
)
from taskbridge.errors import ConfigError
from taskbridge.options import Timeouts
from taskbridge.store_wait import StoreWait

SECRET = "hush"


def pyproject(folder: Path, toml: str) -> Path:
    (folder / "pyproject.toml").write_text(toml)
    return folder


def test_without_anything_there_are_defaults(tmp_path: Path):
    """No file, no variable: Celery on the Redis of this machine, which is the store too."""
    settings = load({}, tmp_path)

    assert Settings() == settings
    assert ("celery", "taskbridge", "") == (settings.backend, settings.namespace, settings.queue_prefix)
    assert "redis://localhost:6379/0" == settings.broker_url == settings.effective_store_url
    assert 65_536 == settings.max_payload


def test_environment_beats_file_and_code_beats_both(tmp_path: Path):
    """The later wins, word by word."""
    here = pyproject(tmp_path, '[tool.taskbridge]\nbackend = "dramatiq"\nnamespace = "file"\nqueue_prefix = "file"')
    environ = {"TASKBRIDGE_NAMESPACE": "env", "TASKBRIDGE_QUEUE_PREFIX": "env"}

    settings = load(environ, here, queue_prefix="code")

    assert ("dramatiq", "env", "code") == (settings.backend, settings.namespace, settings.queue_prefix)


def test_empty_variable_is_not_set(tmp_path: Path):
    """``TASKBRIDGE_BACKEND=`` means nothing, not a backend without a name."""
    assert "celery" == load({"TASKBRIDGE_BACKEND": ""}, tmp_path).backend


@pytest.mark.parametrize("toml", ['backend = "dramatiq"', '[tool.taskbridge]\nbackend = "dramatiq"'])
def test_named_file_has_either_shape(tmp_path: Path, toml: str):
    """``TASKBRIDGE_CONFIG`` names a file of its own, or one shaped like pyproject.toml; it stands in for that."""
    here = pyproject(tmp_path, '[tool.taskbridge]\nbackend = "memory"')
    (tmp_path / "bank.toml").write_text(toml)

    assert "dramatiq" == load({"TASKBRIDGE_CONFIG": str(tmp_path / "bank.toml")}, here).backend


@pytest.mark.parametrize("toml", ["", "[tool]", '[tool.ruff]\nsrc = ["x"]', '[project]\nname = "x"', "tool = 1"])
def test_pyproject_without_our_table_says_nothing(tmp_path: Path, toml: str):
    """What belongs to others is theirs."""
    assert Settings() == load({}, pyproject(tmp_path, toml))


TABLES = """
[tool.taskbridge]
backend = "old"
broker_url = "redis://main/1"

[tool.taskbridge.backends.old]
engine = "celery"

[tool.taskbridge.backends.new]
engine = "dramatiq"
broker_url = "redis://other/0"

[tool.taskbridge.shares."bank.notify"]
new = 25
memory = 0.5
key = "{account}"
"""


def test_tables_are_backends_and_shares(tmp_path: Path):
    """A named backend stands on the broker of the settings unless it names its own; a share is percent and key."""
    settings = load({}, pyproject(tmp_path, TABLES))

    assert BackendSettings(engine="celery", broker_url="redis://main/1") == settings.backend_settings("old")
    assert BackendSettings(engine="dramatiq", broker_url="redis://other/0") == settings.backend_settings("new")
    assert BackendSettings(engine="dramatiq", broker_url="redis://main/1") == settings.backend_settings("dramatiq")
    assert {"bank.notify": Share(to={"new": 25, "memory": 0.5}, key="{account}")} == settings.shares
    assert ["old", "new", "memory"] == settings.backend_names


def test_code_takes_the_same_tables():
    """What travels as JSON between processes is what a file holds, or made already."""
    tables = {"old": {"engine": "celery"}, "new": BackendSettings(engine="dramatiq")}

    settings = load({}, Path("/nowhere"), backends=tables, shares={"t": Share(to={"new": 5}), "u": {"old": 5}})

    assert {"celery", "dramatiq"} == {one.engine for one in settings.backends.values()}
    assert {"t": Share(to={"new": 5}), "u": Share(to={"old": 5})} == settings.shares


def test_settings_are_frozen(tmp_path: Path):
    """Nobody changes them on their way, tables included."""
    settings = load({}, pyproject(tmp_path, TABLES))

    with pytest.raises(AttributeError):
        settings.backend = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.backends["x"] = BackendSettings(engine="celery")  # type: ignore[index]


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ('bakend = "celery"', "the settings have no 'bakend'; did you mean 'backend'?"),
        ('backend = "celry"', "no backend is called 'celry'; did you mean 'celery'?"),
        ('backend = "rabbit"', "no backend is called 'rabbit'; known are celery, dramatiq, memory"),
        ("backend = 5", "the settings: backend: expected text, got int"),
        (f'broker_url = ["redis://:{SECRET}@h"]', "the settings: broker_url: expected text, got list"),
        ('max_payload = "64k"', "the settings: max_payload: expected a whole number, got '64k'"),
        ("max_payload = true", "the settings: max_payload: expected a whole number, got True"),
        ("max_payload = 0", "max_payload: expected 1 byte or more, got 0"),
        ("timeout = 0", "timeout: expected a span of 1 ms or more, or None, got 0"),
        ('timeout = "30"', "timeout: expected seconds or a timedelta, got '30'"),
        ("timeout = 3\nhard_timeout = 2", "hard_timeout: expected at least the timeout (3), got 2"),
        ('store_wait = "disk"', "store_wait: expected replica or aof, or nothing, got 'disk'"),
        ("store_wait_timeout = 0", "store_wait_timeout: expected 0.001 to 4 seconds, got 0"),
        ("store_wait_timeout = 4.1", "store_wait_timeout: expected 0.001 to 4 seconds, got 4.1"),
        ('store_wait_timeout = "3"', "store_wait_timeout: expected seconds or a timedelta, got '3'"),
        ('namespace = "a b"', "namespace: expected a word without braces or blanks, got 'a b'"),
        ('namespace = "{a}"', "namespace: expected a word without braces or blanks, got '{a}'"),
        ('namespace = ""', "namespace: expected a word without braces or blanks, got ''"),
        ('queue_prefix = "a b"', "queue_prefix: expected a word without blanks such as shop_, got 'a b'"),
        ('queue_prefix = "a\\n"', "queue_prefix: expected a word without blanks such as shop_, got 'a\\n'"),
        ("backends = 5", "backends: expected a table, got 5"),
        ('backends = {old = "celery"}', "backends.old: expected a table, got 'celery'"),
        ('backends = {old = {engin = "celery"}}', "backends.old have no 'engin'; did you mean 'engine'?"),
        ("backends = {old = {engine = 1}}", "backends.old: engine: expected text, got int"),
        ("backends = {old = {}}", "backends.old: engine is missing"),
        ('backends = {"a:b" = {engine = "celery"}}', "backends: expected a name of up to 40 letters, digits, - and _"),
        ("shares = 5", "shares: expected a table, got 5"),
        ("shares = {t = 25}", "shares.t: expected a table such as {dramatiq = 25}, got 25"),
        ('shares = {t = {dramatiq = "25"}}', "shares.t: expected 0 to 100 percent for 'dramatiq', got '25'"),
        ("shares = {t = {dramatiq = true}}", "shares.t: expected 0 to 100 percent for 'dramatiq', got True"),
        ("shares = {t = {dramatiq = 101}}", "shares.t: expected 0 to 100 percent for 'dramatiq', got 101"),
        ("shares = {t = {dramatiq = nan}}", "shares.t: expected 0 to 100 percent for 'dramatiq', got nan"),
        ("shares = {t = {dramatiq = 60, memory = 50}}", "shares.t: the percentages are 110 together, over 100"),
        ("shares = {t = {dramatik = 5}}", "no backend is called 'dramatik'; did you mean 'dramatiq'?"),
        ("shares = {t = {dramatiq = 5, key = 1}}", "shares.t: key: expected a template such as '{user_id}', got 1"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, toml: str, why: str):
    """A word nobody knows, with the nearest that is known; a value of another kind, with what was expected."""
    (tmp_path / "bank.toml").write_text(toml)

    with pytest.raises(ConfigError) as refused:
        load({"TASKBRIDGE_CONFIG": str(tmp_path / "bank.toml")}, tmp_path)

    assert str(refused.value).startswith(why)
    assert SECRET not in str(refused.value)


GROUPS = """
[tool.taskbridge]
backend = "dramatiq"

[tool.taskbridge.groups.high]
processes = 2
queues = ["urgent"]

[tool.taskbridge.groups.low]
processes = 6
queues = ["emails", "urgent"]
"""


def test_groups_are_for_workers(tmp_path: Path):
    """In the order of the file; a bridge reads past them, and code has none."""
    here = pyproject(tmp_path, GROUPS)

    groups = load_groups({}, here)

    assert [
        ("high", GroupSettings(processes=2, queues=["urgent"])),
        ("low", GroupSettings(processes=6, queues=["emails", "urgent"])),
    ] == list(groups.items())
    assert Settings(backend="dramatiq") == load({}, here)
    assert {} == load_groups({}, tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="the settings have no 'groups'"):
        load({}, here, groups={})


def test_named_file_is_found_from_where_the_worker_runs(tmp_path: Path):
    """``TASKBRIDGE_CONFIG`` without a leading slash is below the directory that is looked in."""
    (tmp_path / "bank.toml").write_text(GROUPS)

    assert {"high", "low"} == load_groups({"TASKBRIDGE_CONFIG": "bank.toml"}, tmp_path).keys()


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("groups = 5", "groups: expected a table, got 5"),
        ("[groups]\nhigh = 5", 'groups.high: expected a table such as {processes = 2, queues = ["urgent"]}, got 5'),
        ("[groups.high]\nprocesses = 2", "groups.high: queues is missing"),
        ("[groups.high]\nqueues = ['a']", "groups.high: processes is missing"),
        (
            "[groups.high]\nprocesses = 2\nqueues = []",
            "groups.high: queues: expected the names of one or more, such as ",
        ),
        (
            "[groups.high]\nprocesses = 2\nqueues = 'a'",
            "groups.high: queues: expected the names of one or more, such as ",
        ),
        ("[groups.high]\nprocesses = 2\nqueues = [5]", "groups.high: expected a queue name of a letter or underscore"),
        (
            "[groups.high]\nprocesses = 2\nqueues = ['a-low']",
            "groups.high: the queue name 'a-low' ends like a priority",
        ),
        (
            "[groups.high]\nprocesses = 2\nqueues = ['a', 'a']",
            "groups.high: queues: expected each name once, got ['a',",
        ),
        (
            "[groups.high]\nprocesses = 0\nqueues = ['a']",
            "groups.high: processes: expected a whole number of 1 to 1000",
        ),
        (
            "[groups.high]\nprocesses = -1\nqueues = ['a']",
            "groups.high: processes: expected a whole number of 1 to 1000",
        ),
        ("[groups.high]\nprocesses = true\nqueues = ['a']", "groups.high: processes: expected a whole number of 1 to"),
        (
            "[groups.high]\nprocesses = '2'\nqueues = ['a']",
            "groups.high: processes: expected a whole number of 1 to 1000",
        ),
        ("[groups.high]\nprocess = 2\nqueues = ['a']", "groups.high has no 'process'; did you mean 'processes'?"),
        (
            "[groups.'a b']\nprocesses = 2\nqueues = ['a']",
            "groups: expected a name of up to 40 letters, digits, - and _",
        ),
    ],
)
def test_group_that_does_not_fit_is_refused(tmp_path: Path, toml: str, why: str):
    """By the worker, which reads it, and by whoever reads the settings."""
    (tmp_path / "bank.toml").write_text(toml)

    for read in (load, load_groups):
        with pytest.raises(ConfigError) as refused:
            read({"TASKBRIDGE_CONFIG": "bank.toml"}, tmp_path)
        assert str(refused.value).startswith(why)


def test_our_table_has_to_be_one(tmp_path: Path):
    """``taskbridge = 5`` under ``[tool]`` is no settings."""
    with pytest.raises(ConfigError, match=r"\[tool.taskbridge\] in .*pyproject.toml: expected a table, got 5"):
        load({}, pyproject(tmp_path, "[tool]\ntaskbridge = 5"))


def test_unknown_word_in_code_is_refused(tmp_path: Path):
    """As in a file."""
    with pytest.raises(ConfigError, match="the settings have no 'brokr_url'; did you mean 'broker_url'"):
        load({}, tmp_path, brokr_url="redis://localhost")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, name: str):
    """With the reason."""
    with pytest.raises(ConfigError, match=r"TASKBRIDGE_CONFIG names '.*', which cannot be read: (No such|Is a dir)"):
        load({"TASKBRIDGE_CONFIG": str(tmp_path / name)}, tmp_path)


@pytest.mark.parametrize("content", [b"backend = ", b"\xff\xfe", b"<xml/>"])
def test_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes):
    """With what is wrong in it."""
    (tmp_path / "bank.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"bank\.toml is not TOML: "):
        load({"TASKBRIDGE_CONFIG": str(tmp_path / "bank.toml")}, tmp_path)


@pytest.mark.parametrize("value", ["64k", "-1", "1.5", "²"])
def test_number_in_the_environment_is_one(tmp_path: Path, value: str):
    """The variable is named, as the environment writes it."""
    with pytest.raises(ConfigError, match="TASKBRIDGE_MAX_PAYLOAD: expected a number of bytes, got "):
        load({"TASKBRIDGE_MAX_PAYLOAD": value}, tmp_path)
    assert 1_000 == load({"TASKBRIDGE_MAX_PAYLOAD": "1000"}, tmp_path).max_payload


def test_the_store_waits_for_what_is_said(tmp_path: Path):
    """For nothing unless told; as the file or the environment has it, three seconds at most unless told."""
    here = pyproject(tmp_path, '[tool.taskbridge]\nstore_wait = "aof"\nstore_wait_timeout = 1')

    assert load({}, tmp_path / "nowhere").waits is None
    assert StoreWait(kind="aof", timeout_ms=1_000) == load({}, here).waits
    assert StoreWait(kind="replica", timeout_ms=1_000) == load({"TASKBRIDGE_STORE_WAIT": "replica"}, here).waits
    assert StoreWait(kind="aof", timeout_ms=500) == load({"TASKBRIDGE_STORE_WAIT_TIMEOUT": "0.5"}, here).waits
    assert StoreWait(kind="replica", timeout_ms=3_000) == Settings(store_wait="replica").waits


def test_a_store_in_memory_waits_for_nothing_and_says_so():
    """What cannot be kept is refused."""
    with pytest.raises(ConfigError, match="store_wait 'replica': a store in memory has no replica"):
        Bridge(Settings(backend="memory", store_wait="replica")).store  # noqa: B018 made on first use


def test_timeouts_are_of_all_tasks_that_name_none(tmp_path: Path):
    """Seconds, by default none; the later wins, and a variable that is no number is named."""
    here = pyproject(tmp_path, "[tool.taskbridge]\ntimeout = 30\nhard_timeout = 45.5")

    assert Timeouts() == load({}, tmp_path / "nowhere").timeouts
    assert Timeouts(soft_ms=30_000, hard_ms=45_500) == load({}, here).timeouts
    assert Timeouts(soft_ms=500, hard_ms=45_500) == load({"TASKBRIDGE_TIMEOUT": "0.5"}, here).timeouts
    assert Timeouts(soft_ms=30_000, hard_ms=60_000) == load({"TASKBRIDGE_HARD_TIMEOUT": "60"}, here).timeouts
    with pytest.raises(ConfigError, match="TASKBRIDGE_HARD_TIMEOUT: expected a number of seconds, got '1m'"):
        load({"TASKBRIDGE_HARD_TIMEOUT": "1m"}, here)
    with pytest.raises(ConfigError, match="hard_timeout: expected at least the timeout"):
        load({"TASKBRIDGE_TIMEOUT": "50"}, here)


def test_unknown_variable_is_only_warned_of(tmp_path: Path):
    """A rollback meets the newer release's variables: a worker starts all the same, and says which mean nothing."""
    environ = {"TASKBRIDGE_BACKEND": "memory", "TASKBRIDGE_BROKR_URL": "x", "HOME": "/"}

    warnings = unknown_variables(environ | {"TASKBRIDGE_CONFIG": ""})

    assert [
        "the environment variable TASKBRIDGE_BROKR_URL means nothing; did you mean 'TASKBRIDGE_BROKER_URL'?"
    ] == warnings
    assert "memory" == load(environ, tmp_path).backend


@pytest.mark.parametrize(
    ("words", "url"),
    [
        ({}, "redis://localhost:6379/0"),
        ({"broker_url": "sentinel://a,b/main/0"}, "sentinel://a,b/main/0"),
        ({"broker_url": "unix:///run/redis"}, "unix:///run/redis"),
        ({"broker_url": "rediss://h", "store_url": "redis://store"}, "redis://store"),
        ({"broker_url": "amqp://h", "store_url": "redis://store"}, "redis://store"),
        ({"backend": "memory"}, "memory://"),
        ({"backend": "old", "backends": {"old": BackendSettings(engine="memory")}}, "memory://"),
    ],
)
def test_store_is_the_brokers_redis_unless_named(words: dict[str, Any], url: str):
    """A Redis broker's own URL when none is set; the memory backend has a store in memory."""
    assert url == Settings(**words).effective_store_url


@pytest.mark.parametrize("broker_url", ["amqp://h", "sqs://"])
def test_broker_that_is_no_redis_needs_a_store(broker_url: str):
    """The error says which variable to set."""
    with pytest.raises(ConfigError, match="the store needs its own: set TASKBRIDGE_STORE_URL="):
        _ = Settings(broker_url=broker_url).effective_store_url


def test_settings_are_shown_without_passwords():
    """Whoever logs them gives nothing away."""
    url = f"redis://:{SECRET}@h"

    settings = Settings(broker_url=url, store_url=url, backends={"b": BackendSettings(engine="celery", broker_url=url)})

    assert SECRET not in repr(settings)
    assert "celery" in repr(settings)


def test_a_store_in_memory_is_for_the_memory_backend_alone():
    """An engine of many processes is not guarded by a store that each has for itself."""
    assert "memory://" == Settings(backend="memory").effective_store_url
    with pytest.raises(ConfigError, match="of one process"):
        _ = Settings(backend="celery", store_url="memory://").effective_store_url


SCHEDULES = """
[schedules.payday]
task = "bank.pay"
cron = "0 6 1 * *"
tz = "Europe/Warsaw"
queue = "money"
args = [7]
missed = "all"

[schedules.beat]
task = "bank.beat"
every = "5m"
start = 2026-03-01T00:00:00Z
kwargs = {kind = "all"}
overlap = "skip"
jitter = 3
"""


def test_schedules_of_the_file(tmp_path: Path):
    """Each with its own words; what is not said has a default."""
    named = tmp_path / "bank.toml"
    named.write_text(SCHEDULES)

    found = load({"TASKBRIDGE_CONFIG": str(named)}, tmp_path).schedules

    assert {
        "payday": ScheduleSettings(
            task="bank.pay", cron="0 6 1 * *", tz="Europe/Warsaw", queue="money", args=[7], missed="all"
        ),
        "beat": ScheduleSettings(
            task="bank.beat",
            every="5m",
            start=datetime(2026, 3, 1, tzinfo=UTC),
            kwargs={"kind": "all"},
            overlap="skip",
            jitter=3,
        ),
    } == found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ('task = "f"\ncrn = "0 6 * * *"', r"schedules.x have no 'crn'; did you mean 'cron'"),
        ('cron = "0 6 * * *"', "schedules.x: task is missing"),
        ('task = "f"', "schedules.x: expected cron = .* or every"),
        ('task = "f"\ncron = "0 6 * * *"\nevery = 5', "schedules.x: expected cron = .* or every"),
        ('task = "f"\nevery = 5\ntz = "UTC"', "schedules.x: tz: expected cron beside it"),
        ('task = "f"\ncron = "0 6 * * *"\nstart = 2026-03-01T00:00:00Z', "schedules.x: start: expected every"),
        ('task = "f"\nevery = 5\nargs = "abc"', "schedules.x: args: expected a list"),
        ('task = "f"\nevery = 5\nkwargs = [1]', "schedules.x: kwargs: expected a table"),
        ('task = "f"\nevery = 5\nqueue = "no good"', "schedules.x: expected a queue name"),
        ("task = 7\nevery = 5", "schedules.x: task: expected text"),
        ('task = ""\nevery = 5\nqueue = "q"', "schedules.x: task: expected the name of a task"),
        ('task = "two words"\nevery = 5\nqueue = "q"', "schedules.x: task: expected the name of a task"),
    ],
)
def test_schedule_that_cannot_be_is_refused(tmp_path: Path, words: str, why: str):
    """With its name; what only who has the task can tell is refused by the worker."""
    with pytest.raises(ConfigError, match=why):
        load({}, pyproject(tmp_path, f"[tool.taskbridge.schedules.x]\n{words}"))


@pytest.mark.parametrize(
    ("engine", "url", "broker"),
    [
        ("celery", "redis://h/0", "redis"),
        ("celery", "rediss://h/0", "redis"),
        ("dramatiq", "unix:///run/redis.sock", "redis"),
        ("celery", "sentinel://a,b/main/0", "redis"),
        ("celery", "sqs://", "sqs"),
        ("dramatiq", "amqps://h", "rabbitmq"),
        ("celery", "amqp://h", "rabbitmq"),
        ("memory", "redis://h/0", "memory"),
    ],
)
def test_kind_of_a_broker_is_one_word(engine: str, url: str, broker: str):
    """The same for each way to reach it; the engine in this process has none."""
    assert broker == BackendSettings(engine=engine, broker_url=url).broker
