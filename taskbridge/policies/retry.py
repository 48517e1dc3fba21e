"""Decide whether a failed message runs again, and when.

Pure: no clock, no store, no I/O; ``execution`` acts on the answer. Spans are seconds or timedelta at the API and
milliseconds inside; attempts count from 1.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from ..clock import Span, milliseconds
from ..errors import ConfigError, Drop, Retry
from ..outcome import Again, Ended

#: Beyond this exponent every base is over every cap; keeps 2 ** n small.
_MAX_EXPONENT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Retry after up to base, 2 base, 4 base ... with full jitter, never more than ``cap`` apart.

    Args:
        max_retries: how many times after the first; 0 never retries. Defaults to 5.
        base: longest wait before the first retry, seconds or timedelta. Defaults to 1 s.
        cap: longest wait of all. Defaults to 10 min.
        max_age: no retry that would begin so long after the message was first due. Defaults to none.
        retry_on: failures worth another attempt. Defaults to every ``Exception``.
        give_up_on: failures that are not, though ``retry_on`` names them. Defaults to none.

    Raises:
        ConfigError: a value of another type, a negative number, or ``cap`` below ``base``.
    """

    max_retries: int = 5
    base: Span = 1.0
    cap: Span = timedelta(minutes=10)
    max_age: Span | None = None
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if type(self.max_retries) is not int or self.max_retries < 0:
            raise ConfigError(f"max_retries: expected 0 or more, got {self.max_retries!r}")
        if not 0 <= milliseconds(self.base, "base") <= milliseconds(self.cap, "cap"):
            raise ConfigError(f"expected 0 <= base <= cap, got base={self.base!r}, cap={self.cap!r}")
        if self.max_age is not None and milliseconds(self.max_age, "max_age") <= 0:
            raise ConfigError(f"max_age: expected a span above 0, got {self.max_age!r}")
        for option, classes in (("retry_on", self.retry_on), ("give_up_on", self.give_up_on)):
            try:
                isinstance(None, classes)
            except TypeError:
                raise ConfigError(f"{option}: expected exception classes, got {classes!r}") from None

    def judge(self, error: BaseException, *, attempt: int, age_ms: int) -> Again | Ended:
        """Say what the failure of this attempt leads to.

        Args:
            error: what the attempt raised.
            attempt: which one it was, from 1.
            age_ms: how long ago the message was first due.
        """
        if isinstance(error, Drop):
            return Ended(how="dropped", why=str(error))
        if not isinstance(error, Retry) and not self._worth_it(error):
            return _dead(error, f"{type(error).__name__} is not retried")
        if attempt > self.max_retries:
            return _dead(error, f"failed {attempt} times")
        wait_ms = self._wait_ms(error, attempt)
        if self.max_age is not None and age_ms + wait_ms > milliseconds(self.max_age):
            return _dead(error, f"older than max_age after attempt {attempt}")
        return Again(after_ms=wait_ms, counted=True, why=_describe(error), error=error)

    def _worth_it(self, error: BaseException) -> bool:
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def _wait_ms(self, error: BaseException, attempt: int) -> int:
        if isinstance(error, Retry) and error.after is not None:
            return max(0, milliseconds(error.after, "Retry(after)"))
        longest = min(milliseconds(self.cap), milliseconds(self.base) << min(attempt - 1, _MAX_EXPONENT))
        return round(random.uniform(0, longest))


#: What ``retry=None`` means.
NEVER = Backoff(max_retries=0)


def _dead(error: BaseException, why: str) -> Ended:
    return Ended(how="dead", why=f"{why}: {_describe(error)}", error=error)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
