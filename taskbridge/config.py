"""Settings: a file, then the environment, then code; merged, validated, frozen.

The file is ``TASKBRIDGE_CONFIG`` (TOML), or ``[tool.taskbridge]`` of the pyproject.toml here. A word nobody knows is
refused with the nearest that is known; in the environment it is only warned of (``unknown_variables``), for a rollback
meets the newer release's variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .clock import Span
from .errors import ConfigError, nearest
from .options import Timeouts, check_queue_name, timeouts_of
from .store_wait import TIMEOUT_S, StoreWait, store_wait_of

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "TASKBRIDGE_"

#: What is no setting, for it is nobody's but one command's: the tokens of ``taskbridge dashboard``.
SECRETS = (PREFIX + "DASHBOARD_TOKEN", PREFIX + "DASHBOARD_READ_TOKEN")

#: A message over this is refused: a store and a broker in memory are no place for files.
MAX_PAYLOAD_BYTES = 64 * 1024

#: The engines that have a backend of ours.
ENGINES = ("celery", "dramatiq", "memory")

#: How a process may write its log.
LOG_FORMATS = ("plain", "json")

#: A backend's name is part of a claim, "worker:backend:number" (worker/slots.py).
BACKEND_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")

#: Which kind of broker a URL is of, by its scheme.
BROKERS = {
    **dict.fromkeys(("redis", "rediss", "unix", "sentinel"), "redis"),
    "sqs": "sqs",
    **dict.fromkeys(("amqp", "amqps"), "rabbitmq"),
}

#: Most processes of one group; each has a slot in memory and connections of its own.
MAX_PROCESSES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """A named backend: ``[tool.taskbridge.backends.NAME]``.

    Args:
        engine: ``celery``, ``dramatiq``, ``memory``, or another with an entry point.
        broker_url: where its queues are. Defaults to ``broker_url`` of the settings.
        queues: on SQS, the URLs of queues that nobody may look for, by name. Defaults to none.
    """

    engine: str
    broker_url: str = field(default="", repr=False)
    queues: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        queues: Any = self.queues
        if not isinstance(queues, Mapping):
            raise ConfigError(f'queues: expected a table such as {{emails = "https://..."}}, got {queues!r}')
        for name, url in queues.items():
            if not isinstance(url, str) or "://" not in url:
                raise ConfigError(f"queues.{name}: expected the URL of a queue, got {url!r}")

    @property
    def broker(self) -> str:
        """What kind of broker it is: ``redis``, ``sqs``, ``rabbitmq`` or ``memory``."""
        scheme = "memory" if self.engine == "memory" else self.broker_url.partition(":")[0]
        return BROKERS.get(scheme, scheme)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A fixed share of one task's traffic: ``[tool.taskbridge.shares."module.task"]``.

    Args:
        to: backend -> percent, 0 to 100 together; the rest goes to the default backend.
        key: what the share is sticky by, such as ``{user_id}``. Defaults to the message id.
    """

    to: Mapping[str, float]
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """Processes of a worker with queues of their own: ``[tool.taskbridge.groups.NAME]``.

    Args:
        processes: how many, 1 to 1000.
        queues: what they serve, and nothing else; a queue may be in several groups.

    Raises:
        ConfigError: a number or a queue that cannot be.
    """

    processes: int
    queues: Sequence[str]

    def __post_init__(self) -> None:
        processes: Any = self.processes
        queues: Any = self.queues
        if isinstance(processes, bool) or not isinstance(processes, int) or not 1 <= processes <= MAX_PROCESSES:
            raise ConfigError(f"processes: expected a whole number of 1 to {MAX_PROCESSES}, got {processes!r}")
        if isinstance(queues, str) or not isinstance(queues, Sequence) or not queues:
            raise ConfigError(f'queues: expected the names of one or more, such as ["urgent"], got {queues!r}')
        for name in queues:
            check_queue_name(name)
        if len(set(queues)) < len(queues):
            raise ConfigError(f"queues: expected each name once, got {list(queues)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """A schedule without code: ``[tool.taskbridge.schedules.NAME]``. Processes that know what to send declare it.

    Args:
        task: the name of the task.
        cron: five fields; or ``every``, one of the two.
        tz: whose clock ``cron`` is read by. Defaults to UTC.
        every: seconds, or a text such as ``5m``.
        start: an aware datetime from which ``every`` counts. Defaults to the epoch.
        queue: where to send it. Defaults to the task's own; a task that no worker of ours has needs one.
        args, kwargs: what it is called with. Defaults to nothing.
        missed, overlap, jitter: as ``every`` and ``cron`` of the package have them.

    Raises:
        ConfigError: no name of a task, not one of ``cron`` and ``every``, or a word that belongs to the other.
    """

    task: str
    cron: str = ""
    tz: str = ""
    every: Span | str = 0
    start: datetime | None = None
    queue: str = ""
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    missed: str = "last"
    overlap: str = "allow"
    jitter: Span | str = 0

    def __post_init__(self) -> None:
        if len(self.task.split()) != 1:
            raise ConfigError(f"task: expected the name of a task such as bank.tasks.pay, got {self.task!r}")
        if bool(self.cron) == bool(self.every):
            raise ConfigError('expected cron = "0 6 * * *" or every = "5m", one of the two')
        if self.tz and not self.cron:
            raise ConfigError("tz: expected cron beside it; every counts real time")
        if self.start is not None and not self.every:
            raise ConfigError("start: expected every beside it; cron has its own times")
        if not isinstance(self.args, list | tuple):
            raise ConfigError(f"args: expected a list, got {self.args!r}")
        if not isinstance(self.kwargs, Mapping):
            raise ConfigError(f"kwargs: expected a table, got {self.kwargs!r}")
        if self.queue:
            check_queue_name(self.queue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Each field is ``TASKBRIDGE_<NAME>`` in the environment, unless it is a table.

    Args:
        backend: the default backend: an engine, or a name from ``backends``. Defaults to ``celery``.
        broker_url: where queues are. Defaults to ``redis://localhost:6379/0``.
        store_url: where the shared state is. Defaults to the broker's URL where that is Redis.
        store_wait: what has to have what only the store knows, before a broker on another server may forget it and
            before an enqueue that the store keeps returns: ``replica`` or ``aof``. Defaults to nothing.
        store_wait_timeout: how long one such wait takes at most, up to 4 s, seconds or timedelta. Defaults to 3 s.
        namespace: prefix of the store's keys. Defaults to ``taskbridge``.
        queue_prefix: prefix of queue names on the broker. Defaults to empty.
        max_payload: most bytes of one message. Defaults to 65536.
        timeout: soft timeout of tasks that name none, seconds or timedelta. Defaults to none.
        hard_timeout: hard timeout of tasks that name none. Defaults to none.
        observers: what is told of all that is sent and run: ``metrics``, ``sentry``, ``opentelemetry``, or another with
            an entry point; comma-separated in the environment. Defaults to none.
        log_format: ``plain`` or ``json``. Defaults to plain, and to theirs under the engines' own commands.
        sentry_crons: whether the observer ``sentry`` tells Sentry's Crons of each tick of a schedule, which makes a
            monitor of each there. Defaults to false.
        backends: named backends. Defaults to one per engine, on ``broker_url``.
        shares: fixed shares of traffic per task. Defaults to none.
        schedules: schedules without code, by name. Defaults to none.
    """

    backend: str = "celery"
    broker_url: str = field(default="redis://localhost:6379/0", repr=False)  # it may hold a password
    store_url: str = field(default="", repr=False)
    store_wait: str = ""
    store_wait_timeout: Span = TIMEOUT_S
    namespace: str = "taskbridge"
    queue_prefix: str = ""
    max_payload: int = MAX_PAYLOAD_BYTES
    timeout: Span | None = None
    hard_timeout: Span | None = None
    observers: Sequence[str] = ()
    log_format: str = ""
    sentry_crons: bool = False
    backends: Mapping[str, BackendSettings] = field(default_factory=dict)
    shares: Mapping[str, Share] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "backends", MappingProxyType(dict(self.backends)))
        object.__setattr__(self, "shares", MappingProxyType(dict(self.shares)))
        object.__setattr__(self, "schedules", MappingProxyType(dict(self.schedules)))
        if not self.namespace or any(mark in self.namespace for mark in "{} "):
            raise ConfigError(f"namespace: expected a word without braces or blanks, got {self.namespace!r}")
        if " " in self.queue_prefix or not self.queue_prefix.isprintable():
            raise ConfigError(f"queue_prefix: expected a word without blanks such as shop_, got {self.queue_prefix!r}")
        if self.max_payload < 1:
            raise ConfigError(f"max_payload: expected 1 byte or more, got {self.max_payload!r}")
        timeouts_of(self.timeout, self.hard_timeout)
        store_wait_of(self.store_wait, self.store_wait_timeout)
        object.__setattr__(self, "observers", _observers(self.observers))
        _check_log_format(self.log_format)
        for name in self.backends:
            if not BACKEND_NAME.fullmatch(name):
                raise ConfigError(f"backends: expected a name of up to 40 letters, digits, - and _, got {name!r}")
        self.backend_settings(self.backend)
        for task, share in self.shares.items():
            self._check_share(task, share)

    def backend_settings(self, name: str) -> BackendSettings:
        """Return the engine and broker of a backend's name.

        Raises:
            ConfigError: neither a named backend nor an engine.
        """
        if name in self.backends:
            found = self.backends[name]
            return replace(found, broker_url=found.broker_url or self.broker_url)
        if name in ENGINES:
            return BackendSettings(engine=name, broker_url=self.broker_url)
        raise ConfigError(f"no backend is called {name!r}{nearest(name, {*ENGINES, *self.backends})}")

    @property
    def backend_names(self) -> list[str]:
        """The default backend, then every other that is named or shared to."""
        shared = [name for share in self.shares.values() for name in share.to]
        return list(dict.fromkeys([self.backend, *self.backends, *shared]))

    @property
    def timeouts(self) -> Timeouts:
        """What tasks have that name none of their own."""
        return timeouts_of(self.timeout, self.hard_timeout)

    @property
    def waits(self) -> StoreWait | None:
        """What the store waits for."""
        return store_wait_of(self.store_wait, self.store_wait_timeout)

    @property
    def effective_store_url(self) -> str:
        """``store_url``, else the default broker's where that is Redis; ``memory://`` for the memory backend.

        Raises:
            ConfigError: the broker is no Redis and no store is named, or a store in memory for more than one process.
        """
        chosen = self.backend_settings(self.backend)
        if chosen.engine == "memory" and not self.store_url:
            return "memory://"
        if self.store_url.startswith("memory:") and chosen.engine != "memory":
            raise ConfigError(f"store_url: a store in memory is of one process, and {chosen.engine} runs in many")
        if self.store_url:
            return self.store_url
        if chosen.broker_url.startswith(("redis://", "rediss://", "unix://", "sentinel://")):
            return chosen.broker_url
        raise ConfigError("the broker is not Redis, so the store needs its own: set TASKBRIDGE_STORE_URL=redis://...")

    def _check_share(self, task: str, share: Share) -> None:
        for name, percent in share.to.items():
            self.backend_settings(name)
            if not 0 <= percent <= 100:
                raise ConfigError(f"shares.{task}: expected 0 to 100 percent for {name!r}, got {percent!r}")
        if sum(share.to.values()) > 100:
            raise ConfigError(f"shares.{task}: the percentages are {sum(share.to.values())} together, over 100")


def load(environ: Mapping[str, str] | None = None, here: Path | None = None, **code: Any) -> Settings:
    """Return the settings: file, then environment, then ``code``.

    Raises:
        ConfigError: an unknown word in the file or in ``code``, or a value that does not fit.
    """
    environ = os.environ if environ is None else environ
    words = _from_file(environ.get(PREFIX + "CONFIG"), here)
    _groups(words.pop("groups", {}))
    words |= _from_environment(environ)
    return _settings(words | code, "the settings")


def load_groups(environ: Mapping[str, str] | None = None, here: Path | None = None) -> dict[str, GroupSettings]:
    """Return the worker's groups that the file names; a worker reads them, and no bridge.

    Raises:
        ConfigError: an unknown word in a group, or a value that does not fit.
    """
    environ = os.environ if environ is None else environ
    return _groups(_from_file(environ.get(PREFIX + "CONFIG"), here).get("groups", {}))


def load_log_format(environ: Mapping[str, str] | None = None, here: Path | None = None) -> str:
    """Return how a command that runs no bridge yet is to log: as the environment says, else the file, else plain.

    Raises:
        ConfigError: there is no such format.
    """
    environ = os.environ if environ is None else environ
    found = environ.get(PREFIX + "LOG_FORMAT") or _from_file(environ.get(PREFIX + "CONFIG"), here).get("log_format", "")
    _check_log_format(found)
    return found or LOG_FORMATS[0]


def check_group_name(name: str) -> None:
    """Refuse a name that a group cannot have.

    Raises:
        ConfigError: the name, and what was expected.
    """
    if not BACKEND_NAME.fullmatch(name):
        raise ConfigError(f"groups: expected a name of up to 40 letters, digits, - and _, got {name!r}")


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a warning for each ``TASKBRIDGE_`` variable that means nothing to this release."""
    environ = os.environ if environ is None else environ
    known = {PREFIX + "CONFIG", *SECRETS, *(PREFIX + name.upper() for name in _plain_fields())}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [f"the environment variable {name} means nothing{nearest(name, known)}" for name in unknown]


def _plain_fields() -> list[str]:
    return [f.name for f in fields(Settings) if f.name not in ("backends", "shares", "schedules")]


def _from_file(named: str | None, here: Path | None) -> dict[str, Any]:
    import tomllib
    from pathlib import Path

    path = (here or Path.cwd()) / (named or "pyproject.toml")
    if not named and not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"TASKBRIDGE_CONFIG names {str(path)!r}, which cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    tool = content.get("tool", {})
    table = tool.get("taskbridge") if isinstance(tool, Mapping) else None
    return dict(_mapping(table if table is not None else content if named else {}, f"[tool.taskbridge] in {path}"))


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _plain_fields():
        value = environ.get(PREFIX + name.upper())
        if value:
            found[name] = value
    if "observers" in found:
        found["observers"] = [word.strip() for word in found["observers"].split(",") if word.strip()]
    if "sentry_crons" in found:
        found["sentry_crons"] = _truth("sentry_crons", found["sentry_crons"])
    if "max_payload" in found:
        if not found["max_payload"].isdecimal():
            raise ConfigError(f"TASKBRIDGE_MAX_PAYLOAD: expected a number of bytes, got {found['max_payload']!r}")
        found["max_payload"] = int(found["max_payload"])
    spans = ("timeout", "hard_timeout", "store_wait_timeout")
    return found | {name: _seconds(name, found[name]) for name in spans if name in found}


def _seconds(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{PREFIX}{name.upper()}: expected a number of seconds, got {text!r}") from None


def _check_log_format(name: object) -> None:
    if name and name not in LOG_FORMATS:
        raise ConfigError(f"log_format: expected {' or '.join(LOG_FORMATS)}, got {name!r}")


def _truth(name: str, text: str) -> bool:
    said = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.strip().lower() not in said:
        raise ConfigError(f"{PREFIX}{name.upper()}: expected 1 or 0, got {text!r}")
    return said[text.strip().lower()]


def _observers(names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'observers: expected a list of names such as ["metrics", "sentry"], got {names!r}')
    return tuple(dict.fromkeys(names))


def _settings(words: dict[str, Any], where: str) -> Settings:
    backends = _mapping(words.get("backends", {}), "backends")
    shares = _mapping(words.get("shares", {}), "shares")
    words["backends"] = {name: _table(BackendSettings, entry, f"backends.{name}") for name, entry in backends.items()}
    words["shares"] = {name: _share(entry, f"shares.{name}") for name, entry in shares.items()}
    schedules = _mapping(words.get("schedules", {}), "schedules")
    words["schedules"] = {name: _schedule(entry, f"schedules.{name}") for name, entry in schedules.items()}
    settings: Settings = _table(Settings, words, where)
    return settings


def _groups(entries: Any) -> dict[str, GroupSettings]:
    return {name: _group(name, entry) for name, entry in _mapping(entries, "groups").items()}


def _group(name: str, entry: Any) -> GroupSettings:
    check_group_name(name)
    where = f"groups.{name}"
    known = [f.name for f in fields(GroupSettings)]
    for word in _mapping(entry, where, '{processes = 2, queues = ["urgent"]}'):
        if word not in known:
            raise ConfigError(f"{where} has no {word!r}{nearest(word, known)}")
    for word in known:
        if word not in entry:
            raise ConfigError(f"{where}: {word} is missing")
    try:
        return GroupSettings(**entry)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _share(entry: Any, where: str) -> Share:
    if isinstance(entry, Share):
        return entry
    rest = dict(_mapping(entry, where, "{dramatiq = 25}"))
    key = rest.pop("key", "")
    if not isinstance(key, str):
        raise ConfigError(f"{where}: key: expected a template such as '{{user_id}}', got {key!r}")
    for name, percent in rest.items():
        if isinstance(percent, bool) or not isinstance(percent, int | float):
            raise ConfigError(f"{where}: expected 0 to 100 percent for {name!r}, got {percent!r}")
    return Share(to=rest, key=key)


def _schedule(entry: Any, where: str) -> ScheduleSettings:
    try:
        schedule: ScheduleSettings = _table(ScheduleSettings, entry, where)
    except ConfigError as error:
        raise ConfigError(str(error) if where in str(error) else f"{where}: {error}") from None
    return schedule


def _mapping(words: Any, where: str, example: str = "") -> Mapping[str, Any]:
    if not isinstance(words, Mapping):
        raise ConfigError(f"{where}: expected a table{example and f' such as {example}'}, got {words!r}")
    return words


def _table(kind: Any, words: Any, where: str) -> Any:
    if isinstance(words, kind):
        return words
    known = {f.name: f for f in fields(kind)}
    for word, value in _mapping(words, where).items():
        if word not in known:
            raise ConfigError(f"{where} have no {word!r}{nearest(word, known)}")
        if known[word].type == "str" and not isinstance(value, str):
            raise ConfigError(f"{where}: {word}: expected text, got {type(value).__name__}")
        if known[word].type == "bool" and not isinstance(value, bool):
            raise ConfigError(f"{where}: {word}: expected true or false, got {value!r}")
        if known[word].type == "int" and (not isinstance(value, int) or isinstance(value, bool)):
            raise ConfigError(f"{where}: {word}: expected a whole number, got {value!r}")
    try:
        return kind(**words)
    except TypeError:
        missing = [word for word in known if known[word].default is MISSING and word not in words]
        raise ConfigError(f"{where}: {missing[0]} is missing") from None
