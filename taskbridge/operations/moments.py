"""How things were: numbers of an overview, taken every ten seconds, and kept in the store for six hours.

Who takes them is a dashboard that runs; one that is opened later has the hours before. Rates are per second, spans
milliseconds, instants unix milliseconds of the store's clock.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ..store import Store
from .gauges import ON_ITS_WAY
from .overview import Overview, Rate

log = logging.getLogger("taskbridge.dashboard")

#: How often they are taken, and for how long they are kept. Two that take them in turn may be a moment early.
EVERY_MS, KEPT_MS = 10_000, 6 * 3_600_000
EARLY_MS = 1_000

#: Moments further apart than this have a gap between them: nobody took any.
GAP_MS = 3 * EVERY_MS


class Side(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One backend at one moment. What ends is None while it is not known; a p95 is that of the slowest task."""

    waiting: int | None = None
    running: int = 0
    processes: int = 0
    per_s: float | None = None
    failed_per_s: float | None = None
    ran_p95_ms: float | None = None
    waited_p95_ms: float | None = None


class Numbers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it at one moment: the backends by name, and how many messages the store kept, by state."""

    sides: dict[str, Side] = {}
    kept: dict[str, int] = {}
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the numbers were at one instant."""

    at_ms: int
    numbers: Numbers


_decoder = msgspec.json.Decoder(Numbers)


def take(store: Store, seen: Overview) -> bool:
    """Keep an overview's numbers; False when somebody has just done so, or the store did not tell it."""
    if "store" in seen.old:
        return False
    taken = msgspec.json.encode(numbers_of(seen))
    return store.history.add(taken, every_ms=EVERY_MS - EARLY_MS, kept=KEPT_MS // EVERY_MS)


def moments(store: Store, now_ms: int, span_ms: int = KEPT_MS) -> list[Moment]:
    """Return the moments of so long up to now, the oldest first, but for those that another release tells otherwise."""
    since_ms = now_ms - span_ms
    found = []
    for one in store.history.last(min(span_ms, KEPT_MS) // EVERY_MS + 1):
        try:
            numbers = _decoder.decode(one.numbers)
        except msgspec.MsgspecError as error:
            log.debug("what a dashboard kept at %d cannot be read: %s", one.at_ms, error)
            continue
        if one.at_ms >= since_ms:
            found.append(Moment(one.at_ms, numbers))
    return found


def numbers_of(seen: Overview) -> Numbers:
    """Return what is worth keeping of an overview."""
    places = [place for queue in seen.queues for place in queue.places if place.backend]
    rates = seen.throughput.rates if seen.throughput.state == "measured" else None
    names = sorted({place.backend for place in places} | {rate.backend for rate in rates or ()})
    kept: Counter[str] = Counter()
    for queue in seen.queues:
        for state in (*ON_ITS_WAY, "dead"):
            kept[state] += getattr(queue.stored, state)
    sides = {}
    for name in names:
        mine = [place for place in places if place.backend == name]
        known = [place.waiting for place in mine if place.waiting is not None]
        sides[name] = _ended(
            Side(
                waiting=sum(known) if known else None,
                running=sum(place.running for place in mine),
                processes=sum(worker.processes for worker in seen.workers if name in worker.backends),
            ),
            None if rates is None else [rate for rate in rates if rate.backend == name],
        )
    return Numbers(sides=sides, kept=+kept, lag_s=seen.lag_s)


def _ended(side: Side, rates: Sequence[Rate] | None) -> Side:
    """A side with what ended on it; nothing is known of that without rates."""
    if rates is None:
        return side
    return msgspec.structs.replace(
        side,
        per_s=sum(rate.per_s for rate in rates),
        failed_per_s=sum(rate.failed_per_s for rate in rates),
        ran_p95_ms=_worst(rate.ran_p95_ms for rate in rates),
        waited_p95_ms=_worst(rate.waited_p95_ms for rate in rates),
    )


def _worst(spans_ms: Iterable[float]) -> float | None:
    return max((one for one in spans_ms if one), default=None)
