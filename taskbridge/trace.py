"""What joins a message to who has sent it: headers that travel with it over every broker, delay and chain.

Knows no tracer. An observer says how headers are made (``inject``), and what stands around a call that sends
(``around_sending``) and around an attempt (``around_attempt``). One that fails is logged, and costs no message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ParamSpec, TypeVar

import msgspec

from .message import NO_KWARGS, Message
from .outcome import Outcome

log = logging.getLogger("taskbridge.events")

T = TypeVar("T")
P = ParamSpec("P")


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that begins here."""

    message: Message
    backend: str
    attempt: int = 1


#: Returns the headers of what goes on here, by name; none where nothing is traced.
Injector = Callable[[], Mapping[str, str]]

#: Told the task and the queue of a call that sends; what it returns is called when that is over, with its error.
AroundSending = Callable[[str, str], Callable[[BaseException | None], None] | None]

#: Told of an attempt; what it returns is called when it is over, with what became of it: None when its process ends.
AroundAttempt = Callable[[Entered], Callable[[Outcome | None], None] | None]

FAILED = "the observer %r failed"

_NOTHING = nullcontext()


class Trace:
    """Makes the headers of what is sent here, and is around what sends and runs."""

    def __init__(self) -> None:
        self._injectors: list[Injector] = []
        self._sending: list[AroundSending] = []
        #: What is called around an attempt; while there is nothing, nobody needs ``attempting``.
        self.attempts: list[AroundAttempt] = []

    def inject(self, injector: Injector) -> None:
        """Have this one, too, say what travels with each message."""
        self._injectors.append(injector)

    def around_sending(self, opener: AroundSending) -> None:
        """Call this one around each call that sends, before the headers of its messages are made."""
        self._sending.append(opener)

    def around_attempt(self, opener: AroundAttempt) -> None:
        """Call this one around each attempt, inside the engine's own hooks and outside of those of users."""
        self.attempts.append(opener)

    def headers(self) -> msgspec.Raw:
        """Return them as a JSON object; an empty one where nothing is traced."""
        if not self._injectors:
            return NO_KWARGS
        found: dict[str, str] = {}
        for injector in self._injectors:
            for name, text in (_called(injector) or {}).items():
                found[name] = f"{found[name]},{text}" if name == "baggage" and name in found else text
        return msgspec.Raw(msgspec.json.encode(found)) if found else NO_KWARGS

    def sending(self, task: str, queue: str) -> AbstractContextManager[None]:
        """Return what a call that sends this stands in."""
        closers = _opened(self._sending, task, queue) if self._sending else []
        return _closing(closers) if closers else _NOTHING

    def attempting(self, entered: Entered, run: Callable[P, Outcome], *args: P.args, **kwargs: P.kwargs) -> Outcome:
        """Run an attempt inside of what observers put around it."""
        closers: list[Callable[[Outcome | None], None]] = []
        outcome: Outcome | None = None
        try:
            for opener in self.attempts:
                try:
                    opened = opener(entered)
                except (Exception, SystemExit):
                    log.exception(FAILED, opener)
                    continue
                if opened is not None:
                    closers.append(opened)
            outcome = run(*args, **kwargs)
        finally:
            for closer in reversed(closers):
                try:
                    closer(outcome)
                except (Exception, SystemExit):
                    log.exception(FAILED, closer)
        return outcome


@contextmanager
def _closing(closers: list[Callable[..., Any]]) -> Iterator[None]:
    failed: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failed = error
        raise
    finally:
        for closer in reversed(closers):
            _called(closer, failed)


def _opened(openers: Iterable[Callable[..., Any]], *told: object) -> list[Callable[..., Any]]:
    return [closer for opener in openers if (closer := _called(opener, *told)) is not None]


def _called(function: Callable[..., T], *told: object) -> T | None:
    try:
        return function(*told)
    except (Exception, SystemExit):
        log.exception(FAILED, function)
        return None
