"""A sample: what one side did, slice by slice, and all together. Pure; instants and spans are milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..store.evidence import Slice
from .buckets import Spans


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was counted; ``ran`` and ``waited`` are by bucket."""

    succeeded: int = 0
    failed: int = 0
    ran: Spans
    waited: Spans

    @property
    def ended(self) -> int:
        """How many attempts came to an end."""
        return self.succeeded + self.failed


@dataclass(frozen=True)
class Sample:
    """Slices of one side; those of the same ten seconds are one, whatever task they are of."""

    parts: tuple[Counts, ...] = ()

    @classmethod
    def of(cls, slices: Iterable[Slice]) -> Sample:
        """Return the sample that these slices make, of one task or of several."""
        by_instant: dict[int, list[Slice]] = {}
        for one in slices:
            by_instant.setdefault(one.at_ms, []).append(one)
        return cls(tuple(_sum(by_instant[at_ms]) for at_ms in sorted(by_instant)))

    @cached_property
    def all(self) -> Counts:
        """All of it together."""
        return _sum(self.parts)


def _sum(counted: Iterable[Counts | Slice]) -> Counts:
    succeeded = failed = 0
    ran: Counter[int] = Counter()
    waited: Counter[int] = Counter()
    for one in counted:
        succeeded, failed = succeeded + one.succeeded, failed + one.failed
        ran.update(one.ran)
        waited.update(one.waited)
    return Counts(succeeded=succeeded, failed=failed, ran=ran, waited=waited)
