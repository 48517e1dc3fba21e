"""Judge a side by what it did: is the new one worse than the old one? Pure; spans are milliseconds.

Four measures: the share of attempts that fail, run time at p50 and p95, time in queue at p95. Of each it is asked how
likely the new side shows what it shows, were it just as bad as the bounds allow. Less likely than ``ALARM``: it is
worse. Less than ``DOUBT``: nobody knows yet. Else nothing speaks against it; after enough samples it passes.

A look each ten seconds raises few false alarms: ``ALARM`` is set for that, and docs/evidence.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from ..errors import ConfigError
from .buckets import Spans, above, count, quantile_ms
from .chance import of_more
from .sample import Counts, Sample

#: How unlikely it must be that chance shows what the new side shows.
ALARM, DOUBT = 0.0075, 0.05

#: In how many slices slowness must have been looked for: the first tasks of new processes are slow.
LEAST_SLICES = 3

Word = Literal["better_or_equal", "unsure", "worse"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse is still good enough.

    Args:
        max_error_ratio: how many times as often attempts may fail. Defaults to 1.2.
        max_latency_ratio: how many times as long they may run and wait. Defaults to 1.5.
        min_samples: how many attempts each side must have ended before the new one is called good. Defaults to 50.
        run_slack_ms: how much longer they may run, whatever the ratio. Defaults to 1.
        queue_slack_ms: how much longer they may wait, whatever the ratio. Defaults to 50.

    Raises:
        ConfigError: a ratio below 1, fewer than one sample, or a slack below 0.
    """

    max_error_ratio: float = 1.2
    max_latency_ratio: float = 1.5
    min_samples: int = 50
    run_slack_ms: float = 1.0
    queue_slack_ms: float = 50.0

    def __post_init__(self) -> None:
        for name, least in (("max_error_ratio", 1), ("max_latency_ratio", 1), ("min_samples", 1)):
            self._check(name, least)
        for name in ("run_slack_ms", "queue_slack_ms"):
            self._check(name, 0)

    def _check(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not least <= value < float("inf"):
            raise ConfigError(f"{name}: expected a number from {least} up, got {value!r}")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both sides; ``chance`` is how likely the new one shows this, were it at ``limit``.

    Shares are from 0 to 1, spans milliseconds: the end of a bucket, 12 % above at most.
    """

    name: str
    old: float
    new: float
    limit: float
    chance: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the new side is; ``reasons`` say in words what was against it, or what is not known."""

    word: Word
    reasons: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    old_ended: int = 0
    new_ended: int = 0


@dataclass(frozen=True, slots=True)
class _Finding:
    """A figure, and whether most of several slices show it: a burst of a few seconds is no proof of slowness."""

    figure: Figure
    words: str
    steady: bool = True


def judge(
    old: Sample,
    new: Sample,
    bounds: Bounds = Bounds(),  # noqa: B008 frozen
    *,
    before: Sample = Sample(),  # noqa: B008 frozen
    among: int = 1,
) -> Verdict:
    """Return whether the new side is worse than the old one, as far as can be known.

    Args:
        old, new: what each did, best in the same time.
        bounds: how much worse is still good enough.
        before: what the old side did when it carried more. A side that carries nearly all has a longer queue than one
            that carries little, so the new one may wait as long as the old one ever did. Defaults to nothing.
        among: how many such verdicts are asked for side by side, as for each task of many: the more, the stronger the
            proof must be of each.
    """
    found = [
        _errors(old.all, new.all, bounds),
        _ran(old, new, 0.5, bounds),
        _ran(old, new, 0.95, bounds),
        _waited(max(old, before, key=_waits_ms), new, 0.95, bounds),
    ]
    worse = [one.words for one in found if one.figure.chance < ALARM / among and one.steady]
    doubts = [one.words for one in found if one.figure.chance < DOUBT]
    few = _too_few(old.all, new.all, bounds)
    word: Word = "worse" if worse else "unsure" if few or doubts else "better_or_equal"
    return Verdict(
        word=word,
        reasons=tuple(worse or [*few, *(f"perhaps {words}" for words in doubts)]),
        figures=tuple(one.figure for one in found),
        old_ended=old.all.ended,
        new_ended=new.all.ended,
    )


def _too_few(old: Counts, new: Counts, bounds: Bounds) -> list[str]:
    return [
        f"the {side} side has ended {counts.ended} attempts, and {bounds.min_samples} are asked for"
        for side, counts in (("old", old), ("new", new))
        if counts.ended < bounds.min_samples
    ]


def _errors(old: Counts, new: Counts, bounds: Bounds) -> _Finding:
    figure = Figure(
        name="failed",
        old=_share(old.failed, old.ended),
        new=_share(new.failed, new.ended),
        limit=bounds.max_error_ratio * _share(old.failed, old.ended),
        chance=of_more(new.failed, new.ended, old.failed, old.ended, bounds.max_error_ratio),
    )
    return _Finding(figure, f"{figure.new:.2%} of attempts fail, {figure.old:.2%} on the old side")


def _ran(old: Sample, new: Sample, share: float, bounds: Bounds) -> _Finding:
    parts = [part.ran for part in new.parts]
    return _slowness("run time", share, old.all.ran, new.all.ran, parts, bounds.run_slack_ms, bounds.max_latency_ratio)


def _waited(old: Sample, new: Sample, share: float, bounds: Bounds) -> _Finding:
    parts, slack_ms = [part.waited for part in new.parts], bounds.queue_slack_ms
    return _slowness("time in queue", share, old.all.waited, new.all.waited, parts, slack_ms, bounds.max_latency_ratio)


def _slowness(
    what: str, share: float, old: Spans, new: Spans, parts: Sequence[Spans], slack_ms: float, ratio: float
) -> _Finding:
    """Compare how many of the new side lie beyond the limit with how many of the old one lie beyond its quantile."""
    quantile = quantile_ms(old, share)
    limit = max(ratio * quantile, quantile + slack_ms)
    beyond, usual = above(new, limit), round((1 - share) * count(old))
    name = f"{what} p{share * 100:.0f}"
    figure = Figure(
        name=name,
        old=quantile,
        new=quantile_ms(new, share),
        limit=limit,
        chance=of_more(beyond, count(new), usual, count(old)),
    )
    slow = [above(part, limit) > (1 - share) * count(part) for part in parts if part]
    steady = len(slow) >= LEAST_SLICES and 2 * sum(slow) > len(slow)
    words = f"{name} is {figure.new:.3g} ms, {figure.old:.3g} ms on the old side"
    return _Finding(figure, words, steady)


def _waits_ms(side: Sample) -> float:
    return quantile_ms(side.all.waited, 0.95)


def _share(some: int, all: int) -> float:
    return some / all if all else 0.0
