"""``@chunked``: a function over a range, run chunk by chunk; what it declares, and a run of it here and now."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, get_origin, get_type_hints, overload

from ..chunking import Bounds, ChunkPolicy
from ..clock import Span, milliseconds
from ..errors import ConfigError
from .chunk import Chunk
from .ranges import Range

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

RIGHT_ORDER = """@task comes first, then @chunked:

    @task
    @chunked(over=..., size=...)
    def {name}(chunk, ...): ..."""


class Chunked(Generic[P, R]):
    """A function that takes a chunk first, with what it is chunked over. Made by ``@chunked``; ``@task`` takes it.

    Called, it runs here over the whole range, one chunk after another.
    """

    def __init__(self, function: Callable[..., Any], chunks: ChunkPolicy) -> None:
        self.function = function
        self.chunks = chunks
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast(R, run_here(self.function, self.chunks, None, args, kwargs))


class Decorator(Protocol[T]):
    """What ``chunked(...)`` returns: a function's first parameter is the chunk, the others stay."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is an object too, and the first that fits is taken
        self, function: Callable[Concatenate[Chunk[T], P], Coroutine[Any, Any, Any]], /
    ) -> Chunked[P, Coroutine[Any, Any, None]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Chunk[T], P], object], /) -> Chunked[P, None]: ...


def chunked(
    *,
    over: Range[T],
    size: Span | None = None,
    pause: Span = 0,
    max_backlog: int | None = None,
    max_runtime: Span | None = None,
) -> Decorator[T]:
    """Run a function over a range, chunk by chunk: under ``@task``, and before anything else.

    ::

        @task(queue="reports")
        @chunked(over=ids(0, User.max_id), size=1_000)
        def send_reports(chunk: Chunk[int], kind: str) -> None: ...

    Args:
        over: the range: ``ids``, ``dates``, ``times``, ``keyset``, ``stream`` or ``cursor``.
        size: of a chunk. Ids, keys, items: how many; dates: days, or a timedelta; times: seconds, or a timedelta. A
            function of ``cursor`` decides by itself.
        pause: from the start of a chunk to the start of the next, at least. Defaults to 0.
        max_backlog: the next chunk waits while more than so many of the messages that the run has enqueued have not
            ended. Defaults to no bound.
        max_runtime: iteration of a chunk ends after so long; the next chunk goes on there. Defaults to no end.

    Raises:
        ConfigError: a value is out of its range, the function takes no chunk, or ``@task`` came first.
    """
    policy = _policy(over, size, pause, max_backlog, max_runtime)

    def declare(function: Callable[..., Any]) -> Any:
        _refuse_function(function)
        return Chunked(function, policy)

    return cast(Decorator[T], declare)


def unwrapped(declared: Callable[..., Any]) -> tuple[Callable[..., Any], ChunkPolicy | None]:
    """Return what ``@task`` was given as its function, and its chunks if it is chunked.

    Raises:
        ConfigError: the function takes a ``Chunk`` first, and nothing says over what.
    """
    if isinstance(declared, Chunked):
        return declared.function, declared.chunks
    if _takes_chunk(declared):
        raise ConfigError(
            f"{_named(declared)} takes a Chunk, which only @chunked gives; {RIGHT_ORDER.format(name=_named(declared))}"
        )
    return declared, None


def overridden(chunks: ChunkPolicy | None, over: object, task: str) -> Bounds:
    """Return the bounds that one run has in place of the declared range's; its functions are called now.

    Raises:
        ConfigError: the task is not chunked, or the range is no other one of the same kind that travels as JSON.
    """
    if chunks is None:
        raise ConfigError(
            f"over: {task} is not chunked, so it has no range; declare it with @chunked(over=..., size=...)"
        )
    declared = cast("Range[Any]", chunks.range)
    if not declared.travels:
        raise ConfigError(f"over: {task} is declared over a {declared.kind}, whose function cannot travel with a call")
    if not isinstance(over, Range) or over.kind != declared.kind:
        raise ConfigError(f"over: expected {declared.kind}(...), as {task} is declared, got {over!r}")
    over.check(chunks.size, chunks.max_runtime_ms)
    return over.open()


def run_here(
    function: Callable[..., Any],
    chunks: ChunkPolicy,
    bounds: Bounds | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Run all chunks in this process, one after another, without pause, backlog or time; returns None.

    Args:
        function: takes a chunk first.
        chunks: what was declared.
        bounds: of the run; None opens the declared range.
        args: what it takes after the chunk.
        kwargs: by keyword.

    Raises:
        CursorStuck: a cursor does not advance.
    """
    walked = walk(chunks, chunks.range.open() if bounds is None else bounds)
    if inspect.iscoroutinefunction(function):
        return _run_here_awaiting(function, walked, args, kwargs)
    for chunk in walked:
        function(chunk, *args, **kwargs)
    return None


def walk(chunks: ChunkPolicy, bounds: Bounds) -> Iterator[Chunk[Any]]:
    """Return the chunks of a range, each made when the one before is done."""
    at, number = bounds.cursor, 0
    while at is not None:
        chunk: Chunk[Any] | None = chunks.range.chunk(bounds, at, chunks.size)
        if chunk is None:
            return
        yield chunk.under(number=number)
        at, number = chunk.reached, number + 1


async def _run_here_awaiting(
    function: Callable[..., Any], walked: Iterator[Chunk[Any]], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    for chunk in walked:
        await function(chunk, *args, **kwargs)


def _policy(over: Any, size: Any, pause: Any, max_backlog: Any, max_runtime: Any) -> ChunkPolicy:
    if not isinstance(over, Range):
        raise ConfigError(
            f"over: expected a range, such as ids(0, 1_000), dates, times, keyset, stream or cursor; got {over!r}"
        )
    pause_ms = milliseconds(pause, "pause")
    if pause_ms < 0:
        raise ConfigError(f"pause: expected a span of 0 or more, got {pause!r}")
    whole = isinstance(max_backlog, int) and not isinstance(max_backlog, bool)
    if max_backlog is not None and (not whole or max_backlog < 0):
        raise ConfigError(f"max_backlog: expected how many messages, 0 or more, or None; got {max_backlog!r}")
    runtime_ms = 0 if max_runtime is None else milliseconds(max_runtime, "max_runtime")
    if max_runtime is not None and runtime_ms < 1:
        raise ConfigError(f"max_runtime: expected a span of 1 ms or more, or None; got {max_runtime!r}")
    policy = ChunkPolicy(
        range=over, size=over.sized(size), pause_ms=pause_ms, max_backlog=max_backlog, max_runtime_ms=runtime_ms
    )
    over.check(policy.size, policy.max_runtime_ms)
    return policy


def _refuse_function(function: Any) -> None:
    name = _named(function)
    if isinstance(function, Chunked):
        raise ConfigError(f"{name} is chunked already: one @chunked, with one range")
    if hasattr(function, "enqueue") and hasattr(function, "definition"):
        raise ConfigError(f"{name} is a task already; {RIGHT_ORDER.format(name=name)}")
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"chunked: expected a function that takes a chunk first, got {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"{name}: expected a function, and a generator is not run by calling it; got {function!r}")
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise ConfigError(f"{name}: expected a first parameter for the chunk, such as {name}(chunk, ...)")


def _takes_chunk(function: Any) -> bool:
    try:
        hints = get_type_hints(function)
    except (AttributeError, NameError, SyntaxError, TypeError):  # Arguments says what is wrong with them
        return False
    return any(hint is Chunk or get_origin(hint) is Chunk for name, hint in hints.items() if name != "return")


def _named(function: Any) -> str:
    return getattr(function, "__name__", None) or repr(function)
