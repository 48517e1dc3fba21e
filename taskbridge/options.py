"""What ``@task`` and ``.using`` accept, validated once, when declared.

Spans are seconds or timedelta at the API and whole milliseconds (``_ms``) inside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal, Protocol, get_args

import msgspec

from .clock import Span, milliseconds
from .errors import ConfigError, nearest
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

#: ``Message.timeout_ms`` and ``hard_timeout_ms``: this call asks for the settings' own, whatever its task says.
AS_THE_SETTINGS_MS = -1

UnknownArgs = Literal["park", "drop", "fail"]


class RetryPolicy(Protocol):
    """Decides what a failed attempt leads to."""

    def judge(self, error: BaseException, *, attempt: int, age_ms: int) -> Again | Ended: ...


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
        timeout: how long an attempt may take before ``SoftTimeout`` is raised inside it. Defaults to the settings'.
        hard_timeout: how long before its process is ended, and the attempt has failed. Defaults to the settings'.

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
    timeout: Span | None = None
    hard_timeout: Span | None = None

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
        timeouts_of(self.timeout, self.hard_timeout)

    @property
    def expires_ms(self) -> int:
        """The span in milliseconds; 0 is never."""
        return milliseconds(self.expires) if self.expires is not None else 0

    @property
    def delay_ms(self) -> int:
        return milliseconds(self.delay)

    @property
    def park_for_ms(self) -> int:
        return milliseconds(self.park_for)

    @property
    def timeouts(self) -> Timeouts:
        """What the task itself asks for."""
        return _known_timeouts(self.timeout, self.hard_timeout)

    def with_changes(self, changes: dict[str, Any]) -> TaskOptions:
        """Return these options with some replaced.

        Raises:
            ConfigError: an unknown option, or a value out of its range.
        """
        refuse_unknown(changes)
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


def band(priority: int) -> str:
    """Return the suffix of the queue that carries this priority: ``-high`` 7-9, none 4-6, ``-low`` 0-3."""
    return "-high" if priority >= 7 else "" if priority >= 4 else "-low"


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
