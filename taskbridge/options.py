"""What ``@task`` and ``.using`` accept, validated once, when declared.

Spans are seconds or timedelta at the API and whole milliseconds (``_ms``) inside.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Literal, Protocol, get_args

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

#: Options that the worker reads from its own declaration of the task.
DECLARED = ("middleware",)

UnknownArgs = Literal["park", "drop", "fail"]


class RetryPolicy(Protocol):
    """Decides what a failed attempt leads to."""

    def judge(self, error: BaseException, *, attempt: int, age_ms: int) -> Again | Ended: ...


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
        middleware: functions ``(call_next, current) -> result`` around each run, the first one outermost. Defaults to
            none. It belongs to the declaration: ``using`` and ``external`` do not take it.

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
    middleware: Sequence[Callable[..., Any]] = ()

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
        layers = self.middleware
        _expect(isinstance(layers, list | tuple), "middleware", "a list of functions (call_next, current)", layers)
        for layer in layers:
            check_function("middleware", layer, "call_next", "current")
        object.__setattr__(self, "middleware", tuple(layers))

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

    def with_changes(self, changes: dict[str, Any]) -> TaskOptions:
        """Return these options with some replaced.

        Raises:
            ConfigError: an unknown option, one that belongs to the declaration, or a value out of its range.
        """
        refuse_unknown(changes)
        refuse_declared(changes)
        return replace(self, **changes)


def refuse_unknown(options: dict[str, Any]) -> None:
    """Refuse words that are no option, with the nearest that is."""
    known = [field.name for field in fields(TaskOptions)]
    for word in options:
        if word not in known:
            raise ConfigError(f"a task has no option {word!r}{nearest(word, known)}")


def refuse_declared(options: dict[str, Any]) -> None:
    """Refuse what only the process that runs a task can bring: a message does not carry it."""
    for word in DECLARED:
        if word in options:
            raise ConfigError(f"{word} belongs where the task is declared; a message does not carry it to the worker")


def check_function(option: str, function: object, *takes: str) -> None:
    """Refuse what cannot be called with these arguments, and what such a call would not run: coroutines, generators.

    Raises:
        ConfigError: what was expected, and what came.
    """
    shape = f"a plain function ({', '.join(takes)})"
    _expect(callable(function), option, shape, function)
    called: Any = function
    awaited = inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(type(called).__call__)
    _expect(not awaited, option, f"{shape}, not an async def", function)
    generates = inspect.isgeneratorfunction(inspect.unwrap(called))
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


def band(priority: int) -> str:
    """Return the suffix of the queue that carries this priority: ``-high`` 7-9, none 4-6, ``-low`` 0-3."""
    return "-high" if priority >= 7 else "" if priority >= 4 else "-low"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _expect(right: bool, option: str, expected: str, got: object) -> None:
    if not right:
        raise ConfigError(f"{option}: expected {expected}, got {got!r}")
