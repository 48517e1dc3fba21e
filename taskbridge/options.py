"""What ``@task`` and ``.using`` accept, validated once, when declared.

Spans are seconds or timedelta at the API and whole milliseconds (``_ms``) inside.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal, Protocol, get_args

import msgspec

from .chunking import Bounds
from .clock import Span, milliseconds
from .errors import ConfigError, nearest
from .needs import NeedsLock, NeedsTokens
from .outcome import Again, Ended

#: A queue's name that every broker can have.
#: Source: AWS SQS queue names (80 characters, alphanumerics, - and _) within what Celery and Dramatiq take.
QUEUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,74}")

#: The bands of a queue are queues of their own with these suffixes.
BAND_SUFFIXES = ("-high", "", "-low")

#: How often a message may lose its worker before it goes to the dead letters.
MAX_CRASHES = 5

#: How long a message waits for a worker that knows its task: 24 h.
PARK_FOR = timedelta(hours=24)

#: How long an idempotency key is remembered: 24 h.
IDEMPOTENCY_WINDOW = timedelta(hours=24)

#: A tag, and how many a task may have: they travel with each of its messages.
TAG = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
MOST_TAGS = 10

#: ``Message.timeout_ms`` and ``hard_timeout_ms``: this call asks for the settings' own, whatever its task says.
AS_THE_SETTINGS_MS = -1

UnknownArgs = Literal["park", "drop", "fail"]
Unique = Literal["until_started", "until_done"]


class RetryPolicy(Protocol):
    """Decides what a failed attempt leads to."""

    def judge(self, error: BaseException, *, attempt: int, age_ms: int) -> Again | Ended: ...


class LockPolicy(Protocol):
    """Says which lock a call needs."""

    @property
    def key(self) -> str: ...
    @property
    def on_conflict(self) -> str: ...
    def fields(self) -> list[str]: ...
    def check(self, arguments: Collection[str], task: str) -> None: ...
    def need(self, values: Mapping[str, Any]) -> NeedsLock: ...


class RatePolicy(Protocol):
    """Says which tokens a call needs."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    def fields(self) -> list[str]: ...
    def check(self, arguments: Collection[str], task: str) -> None: ...
    def named(self, name: str) -> RatePolicy: ...
    def need(self, values: Mapping[str, Any]) -> NeedsTokens: ...


class SchedulePolicy(Protocol):
    """Says when a task is enqueued by itself, and what becomes of ticks that were missed or come too soon."""

    @property
    def name(self) -> str: ...
    @property
    def missed(self) -> str: ...
    @property
    def overlap(self) -> str: ...
    @property
    def jitter_ms(self) -> int: ...


#: What ``.using`` takes: what is decided when it is enqueued. All else is the word of the worker that runs it.
PER_CALL = (
    *("debounce", "delay", "expires", "hard_timeout", "idempotency_key", "idempotency_window"),
    *("over", "priority", "queue", "tags", "timeout", "unique", "unique_by"),
)

#: What is promised of a message by its record, and refused beside ``ledger=False``.
NEED_LEDGER = ("lock", "rate_limit", "unique", "debounce", "idempotency_key", "hard_timeout")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long an attempt may take, milliseconds; 0 is no limit."""

    soft_ms: int = 0
    hard_ms: int = 0


NO_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a task asks for; every field is an option of ``@task``.

    Args:
        queue: the queue its messages go to. Defaults to ``default``.
        priority: 0 to 9, 9 first, in three bands (0-3, 4-6, 7-9). Defaults to 5.
        expires: not begun so long after it was first due: dropped and counted. Defaults to never.
        delay: not begun before so long from now. Defaults to 0.
        retry: what a failure leads to; ``None`` never retries. Defaults to ``Backoff()``.
        unknown_args: a keyword argument the function does not have: ``park`` it for a newer worker, ``drop`` the
            argument with a warning, or ``fail``. Defaults to ``park``.
        max_crashes: how often a message may lose its worker (killed, or its lease lapsed). Defaults to 5.
        park_for: how long an unknown task or argument waits for a newer worker. Defaults to 24 h.
        lock: a ``Lock``, or several: all or none. Defaults to none.
        rate_limit: a ``RateLimit``, or several. Defaults to none.
        unique: enqueueing the same call again gives the message that is there already: ``until_started``,
            ``until_done``, or for so long from the first call. Defaults to never.
        unique_by: the arguments that make two calls the same. Defaults to all.
        debounce: runs once, so long after the last of the same calls; with that one's arguments. Defaults to never.
        idempotency_key: for one call: what was enqueued under this key is not enqueued again, also after it is done.
        idempotency_window: how long that key is remembered. Defaults to 24 h.
        schedule: when it is enqueued by itself: ``every(...)``, ``cron(...)``, or several. Defaults to never.
        middleware: functions ``(call_next, current) -> result`` around each run, the first one outermost. Defaults to
            none. It belongs to the declaration: ``using`` and ``external`` do not take it.
        timeout: how long an attempt may take before ``SoftTimeout`` is raised inside it. Defaults to the settings'.
        hard_timeout: how long before its process is ended, and the attempt has failed. Defaults to the settings'.
        over: for one run of a chunked task: a range in place of the declared one, of the same kind; kept as its bounds.
        tags: what rules of the route table may know its messages by, such as ``("payments",)``. Defaults to none.
        shadow_safe: its body may be run a second time on another backend, to be compared: it has no effect but what it
            enqueues. Nothing is shadowed until `taskbridge routes shadow` says so. Defaults to no.
        ledger: whether the store has a record of each of its messages. False is for many short tasks that may run
            twice: one that succeeds costs no trip to the store, and a copy of it is not recognised. Defaults to yes.

    Raises:
        ConfigError: a value is out of its range.
    """

    queue: str = "default"
    priority: int = 5
    expires: Span | None = None
    delay: Span = 0
    retry: RetryPolicy | None = None
    unknown_args: UnknownArgs = "park"
    max_crashes: int = MAX_CRASHES
    park_for: Span = PARK_FOR
    lock: LockPolicy | Sequence[LockPolicy] = ()
    rate_limit: RatePolicy | Sequence[RatePolicy] = ()
    unique: Unique | Span | None = None
    unique_by: Sequence[str] = ()
    debounce: Span | None = None
    idempotency_key: str = ""
    idempotency_window: Span = IDEMPOTENCY_WINDOW
    schedule: SchedulePolicy | Sequence[SchedulePolicy] = ()
    middleware: Sequence[Callable[..., Any]] = ()
    timeout: Span | None = None
    hard_timeout: Span | None = None
    over: Bounds | None = None
    tags: Sequence[str] = ()
    shadow_safe: bool = False
    ledger: bool = True

    def __post_init__(self) -> None:
        check_queue_name(self.queue)
        _expect(_whole(self.priority) and 0 <= self.priority <= 9, "priority", "0 (last) to 9 (first)", self.priority)
        if self.expires is not None:
            _expect(milliseconds(self.expires, "expires") > 0, "expires", "a span above 0", self.expires)
        _expect(milliseconds(self.delay, "delay") >= 0, "delay", "a span of 0 or more", self.delay)
        judges = self.retry is None or callable(getattr(self.retry, "judge", None))
        _expect(judges, "retry", "a Backoff, another policy with judge(), or None", self.retry)
        _expect(self.unknown_args in get_args(UnknownArgs), "unknown_args", "park, drop or fail", self.unknown_args)
        _expect(_whole(self.max_crashes) and self.max_crashes >= 0, "max_crashes", "0 or more", self.max_crashes)
        _expect(milliseconds(self.park_for, "park_for") > 0, "park_for", "a span above 0", self.park_for)
        for one in self.locks:
            _expect(hasattr(one, "on_conflict") and hasattr(one, "need"), "lock", "a Lock, or several", one)
        for limit in self.rate_limits:
            _expect(hasattr(limit, "named") and hasattr(limit, "need"), "rate_limit", "a RateLimit, or several", limit)
        for one_of in self.schedules:
            _expect(hasattr(one_of, "jitter_ms"), "schedule", "every(...), cron(...), or several", one_of)
        timeouts_of(self.timeout, self.hard_timeout)
        bounded = self.over is None or isinstance(self.over, Bounds)
        _expect(bounded, "over", "it in @chunked(over=...), or in .using(over=...) of such a task", self.over)
        object.__setattr__(self, "tags", _checked_tags(self.tags))
        _expect(isinstance(self.shadow_safe, bool), "shadow_safe", "True or False", self.shadow_safe)
        self._check_middleware()
        self._check_uniqueness()
        self._check_ledger()

    def _check_middleware(self) -> None:
        layers = self.middleware
        _expect(isinstance(layers, list | tuple), "middleware", "a list of functions (call_next, current)", layers)
        for layer in layers:
            check_function("middleware", layer, "call_next", "current")
        object.__setattr__(self, "middleware", tuple(layers))

    def _check_uniqueness(self) -> None:
        if isinstance(self.unique, str):
            _expect(self.unique in get_args(Unique), "unique", "until_started, until_done or a span", self.unique)
        elif self.unique is not None:
            _expect(milliseconds(self.unique, "unique") > 0, "unique", "a span above 0", self.unique)
        named = isinstance(self.unique_by, list | tuple)
        _expect(named, "unique_by", "names of arguments, such as ('user_id',)", self.unique_by)
        alone = not self.unique_by or self.unique is not None or self.debounce is not None
        _expect(alone, "unique_by", "unique= or debounce= beside it", self.unique_by)
        if self.debounce is not None:
            _expect(not self.delay_ms, "debounce", "no delay beside it: it is one", self.delay)
            _expect(milliseconds(self.debounce, "debounce") > 0, "debounce", "a span above 0", self.debounce)
            _expect(self.unique is None, "debounce", "no unique beside it: it is a kind of that", self.unique)
        key = self.idempotency_key
        _expect(len(str(key)) <= 200, "idempotency_key", "text of up to 200 characters", key)
        window = self.idempotency_window
        _expect(milliseconds(window, "idempotency_window") > 0, "idempotency_window", "a span above 0", window)

    def _check_ledger(self) -> None:
        _expect(isinstance(self.ledger, bool), "ledger", "True or False", self.ledger)
        if self.ledger:
            return
        for word in NEED_LEDGER:
            if getattr(self, word) not in (None, (), ""):
                raise ConfigError(f"{word}: the ledger keeps it, and ledger=False asks for none; leave one of them out")

    @property
    def claims_in_store(self) -> bool:
        """Whether a call must be looked up before it is sent."""
        return self.unique is not None or self.debounce is not None or bool(self.idempotency_key)

    @property
    def expires_ms(self) -> int:
        """The span in milliseconds; 0 is never."""
        return milliseconds(self.expires) if self.expires is not None else 0

    @property
    def delay_ms(self) -> int:
        return milliseconds(self.delay)

    @property
    def debounce_ms(self) -> int:
        return milliseconds(self.debounce) if self.debounce is not None else 0

    @property
    def park_for_ms(self) -> int:
        return milliseconds(self.park_for)

    @property
    def locks(self) -> tuple[LockPolicy, ...]:
        """The locks, one or several alike."""
        return _several(self.lock)

    @property
    def rate_limits(self) -> tuple[RatePolicy, ...]:
        """The limits, one or several alike."""
        return _several(self.rate_limit)

    @property
    def schedules(self) -> tuple[SchedulePolicy, ...]:
        """The schedules, one or several alike."""
        return _several(self.schedule)

    @property
    def timeouts(self) -> Timeouts:
        """What the task itself asks for."""
        return _known_timeouts(self.timeout, self.hard_timeout)

    def with_changes(self, changes: dict[str, Any]) -> TaskOptions:
        """Return these options with some replaced, for one call.

        Raises:
            ConfigError: an unknown option, one that belongs to the declaration, or a value out of its range.
        """
        refuse_unknown(changes)
        refuse_declared(changes)
        return replace(self, **changes)


def timeouts_of(timeout: Span | None, hard_timeout: Span | None) -> Timeouts:
    """Return both in milliseconds.

    Raises:
        ConfigError: one is no span of 1 ms or more, or the hard one is below the soft one and would always win.
    """
    soft_ms, hard_ms = _timeout_ms(timeout, "timeout"), _timeout_ms(hard_timeout, "hard_timeout")
    _expect(not 0 < hard_ms < soft_ms, "hard_timeout", f"at least the timeout ({timeout!r})", hard_timeout)
    return Timeouts(soft_ms=soft_ms, hard_ms=hard_ms)


def refuse_unknown(options: dict[str, Any]) -> None:
    """Refuse words that are no option, with the nearest that is."""
    known = [field.name for field in fields(TaskOptions)]
    for word in options:
        if word not in known:
            raise ConfigError(f"a task has no option {word!r}{nearest(word, known)}")


def refuse_declared(options: dict[str, Any]) -> None:
    """Refuse what is the word of the process that runs a task: a message does not carry it."""
    for word in options:
        if word not in PER_CALL:
            raise ConfigError(
                f"{word} belongs where the task is declared, for a message does not carry it to the worker; "
                f"a call takes {_listed(PER_CALL)}"
            )


def check_function(option: str, function: object, *takes: str, may_yield: bool = False) -> None:
    """Refuse what cannot be called with these arguments, and what such a call would not run: coroutines, generators.

    Args:
        option: what it was given as, for the error.
        function: what is looked at.
        takes: the arguments it is called with.
        may_yield: whether a generator is as good, for its caller iterates. Defaults to no.

    Raises:
        ConfigError: what was expected, and what came.
    """
    shape = f"a plain function ({', '.join(takes)})"
    _expect(callable(function), option, shape, function)
    called: Any = function
    awaited = any(
        kind(one)
        for kind in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for one in (called, type(called).__call__)
    )
    _expect(not awaited, option, f"{shape}, not an async def", function)
    generates = not may_yield and inspect.isgeneratorfunction(inspect.unwrap(called))
    _expect(not generates, option, f"{shape}, not a generator or a context manager", function)
    try:
        inspect.signature(called).bind(*takes)
    except ValueError:  # a built-in that does not say what it takes
        return
    except TypeError as error:
        raise ConfigError(f"{option}: expected {shape}, got {function!r}: {error}") from None


def check_queue_name(name: object) -> None:
    """Refuse a name that some broker cannot have.

    Raises:
        ConfigError: the name, and what every broker takes.
    """
    if not isinstance(name, str) or not QUEUE_NAME.fullmatch(name):
        raise ConfigError(
            f"expected a queue name of a letter or underscore, then up to 74 of letters, digits, - and _; got {name!r}"
        )
    if name.endswith(("-high", "-low")):
        raise ConfigError(
            f"the queue name {name!r} ends like a priority band (-high, -low); use the plain name and priority="
        )


def check_tag(tag: object) -> None:
    """Refuse what is no tag.

    Raises:
        ConfigError: what one looks like, and what came.
    """
    if not isinstance(tag, str) or not TAG.fullmatch(tag):
        raise ConfigError(f"expected a tag of up to 40 letters, digits, -, _, . and :; got {tag!r}")


def band(priority: int) -> str:
    """Return the suffix of the queue that carries this priority: ``-high`` 7-9, none 4-6, ``-low`` 0-3."""
    return "-high" if priority >= 7 else "" if priority >= 4 else "-low"


def _checked_tags(tags: Any) -> tuple[str, ...]:
    if tags == ():
        return ()
    _expect(isinstance(tags, list | tuple), "tags", "a list of tags such as ('payments',)", tags)
    for tag in tags:
        check_tag(tag)
    _expect(len(set(tags)) == len(tags) <= MOST_TAGS, "tags", f"each once, at most {MOST_TAGS}", tags)
    return tuple(tags)


def _several(one: Any) -> tuple[Any, ...]:
    if type(one) is tuple:  # those of a declared task are: each of its messages asks
        return one
    return tuple(one) if isinstance(one, list | tuple) else (one,)


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _timeout_ms(span: Span | None, option: str) -> int:
    if span is None:
        return 0
    ms = milliseconds(span, option)
    _expect(ms > 0 and not isinstance(span, bool), option, "a span of 1 ms or more, or None", span)
    return ms


#: For those that were validated: each attempt asks.
_known_timeouts = lru_cache(maxsize=1024)(timeouts_of)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _expect(right: bool, option: str, expected: str, got: object) -> None:
    if not right:
        raise ConfigError(f"{option}: expected {expected}, got {got!r}")
