"""The store's part in evidence: what each side did with the tasks that somebody watches, in slices of ten seconds.

Which bucket a span falls into is said by ``taskbridge.evidence.buckets``; the store only adds counts. Instants are unix
milliseconds of the store's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

#: How long a slice is.
SLICE_MS = 10_000

#: How long one is kept, and how long it is known what a teller has told.
KEPT_MS = 3_600_000


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What one backend did with one task in ten seconds.

    An attempt counts where it ends, ``succeeded`` or ``failed``, whether or not it is made again; one that asked for a
    later run or dropped itself is neither. ``ran`` has how long those ran, ``waited`` the time in queue of those that
    began, with no delay, back-off or parking; both by bucket. ``at_ms`` is when they begin, a multiple of ``SLICE_MS``.
    """

    task: str
    backend: str
    at_ms: int
    succeeded: int = 0
    failed: int = 0
    ran: Mapping[int, int] = {}
    waited: Mapping[int, int] = {}


@dataclass(slots=True)
class Counts:
    """What a slice has while it is added up."""

    succeeded: int = 0
    failed: int = 0
    ran: Counter[int] = field(default_factory=Counter)
    waited: Counter[int] = field(default_factory=Counter)


class Evidence(Protocol):
    """Who is watched, and what was gathered of them."""

    def watch(self, tasks: Mapping[str, int]) -> None:
        """Have these tasks watched, each until its instant; one that is past ends it. Of others nothing changes."""

    def watched(self) -> dict[str, int]:
        """Return the tasks that are watched, and until when."""

    def attend(self, tasks: Sequence[str], lease_ms: int) -> dict[str, int]:
        """Have these tasks watched for so long, for somebody who looks on; return since when each is, for such a one.

        ``watch`` neither shortens this nor is shortened or prolonged by it: a task is watched while one of both holds.
        """

    def add(self, slices: Sequence[Slice], *, teller: str, turn: int) -> None:
        """Add the counts of these to what is there.

        What nobody watches is left out, and so is what lies an hour back, or ahead. ``turn`` grows with each telling
        of one teller: who was not answered tells the same again, under the same turn, and it is added once.

        Raises:
            StoreFull: the store has no memory left.
        """

    def read(self, task: str, backends: Iterable[str], since_ms: int, until_ms: int) -> list[Slice]:
        """Return the slices of these backends that begin in this time, the oldest first; none that is empty.

        Args:
            task: its name.
            backends: by their names in the settings.
            since_ms: the first instant.
            until_ms: the first that is not of it any more.
        """

    def read_all(self, tasks: Sequence[str], backends: Sequence[str], since_ms: int, until_ms: int) -> list[Slice]:
        """Return what ``read`` does of each of these tasks, in one trip."""
