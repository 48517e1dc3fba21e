"""The store's part in shadows: pairs of an original and its copy, each side told once, and what comparing them came to.

Nothing here is of a message's life: what is told is compared and counted, and forgotten after a while. Spans are
milliseconds, run times microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

#: Which of the two: the message itself, or its copy on the other backend.
Side = Literal["original", "copy"]

#: What a side that returned is told as; another outcome is the name of what it raised.
SUCCEEDED = "succeeded"

#: How long a side waits for the other, and how many pairs are remembered: the oldest go first.
PAIR_MS, MOST_PAIRS = 24 * 3_600_000, 10_000

#: How long what was counted stands after the last pair: 7 days.
TALLY_MS = 7 * 24 * 3_600_000

#: How many disagreements are kept, the newest.
KEPT = 100


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How one side has left its body.

    ``outcome`` is ``succeeded`` or the name of what was raised, ``digest`` stands for the result, empty where none can
    be made: then it is not compared. ``unsent`` is how many messages a copy would have sent. ``why`` is for people.
    """

    outcome: str
    backend: str
    digest: str = ""
    ran_us: int = 0
    unsent: int = 0
    why: str = ""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted under one shadow: sides that were told, and pairs of which both were.

    ``begun`` counts copies that began, ``outcome`` and ``result`` the pairs that disagree, by what. The run times are
    sums over all pairs.
    """

    rule: str
    task: str
    begun: int = 0
    originals: int = 0
    copies: int = 0
    agreed: int = 0
    outcome: int = 0
    result: int = 0
    original_us: int = 0
    copy_us: int = 0
    unsent: int = 0

    @property
    def pairs(self) -> int:
        """How many were compared."""
        return self.agreed + self.outcome + self.result


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A pair whose sides were told differently, by ``outcome`` or ``result``; ``at_ms`` is by the store's clock."""

    rule: str
    task: str
    id: str
    by: str
    original: Told
    copy: Told
    at_ms: int


class Shadows(Protocol):
    """Pairs, told side by side; bounded, and gone by themselves."""

    def begin(self, rule: str, task: str, id: str) -> bool:
        """Say that the copy of a message is about to run; False where that was said before, and it is not to run again.

        Raises:
            StoreFull: the store has no memory left.
        """

    def tell(self, rule: str, task: str, id: str, side: Side, told: Told) -> str:
        """Say how one side ended: the first word of each side stands.

        Returns what that came to: ``known`` (a repeat), ``first`` (the other side is not known yet), or, where both
        are, ``agreed``, ``outcome`` or ``result``.

        Raises:
            StoreFull: the store has no memory left.
        """

    def read(self, limit: int) -> tuple[Sequence[Tally], Sequence[Disagreement]]:
        """Return what was counted, the shadow heard of last first, and so many disagreements, the newest first."""


def differs(original: Told, copy: Told) -> str:
    """Return by what two sides differ: ``outcome``, ``result``, or empty."""
    if original.outcome != copy.outcome:
        return "outcome"
    return "result" if original.digest and copy.digest and original.digest != copy.digest else ""
