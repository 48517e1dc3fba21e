"""Lines over time as SVG: drawn here, coloured by the style sheet, read aloud by what they say in words.

Pure. A place where nothing is known is a gap, never a zero. Instants are unix milliseconds, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil, floor, inf, log10

from markupsafe import Markup, escape

from .words import UNKNOWN

#: The drawing's size, and the room left around it for the axes.
WIDTH, HEIGHT = 560, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 20

#: A line of the legend: the line's class, its name, and its newest value.
SAMPLE = Markup(
    '<li><svg viewBox="0 0 22 8" aria-hidden="true"><line class="series {}" x1="1" x2="21" y1="4" y2="4"/></svg>'
    "{} <b>{}</b></li>"
)

#: At most so many points are drawn of a line: more than that nobody sees.
MOST_POINTS = 280

#: Spans between two marks of the time axis, milliseconds.
MARKS_MS = [minutes * 60_000 for minutes in (1, 2, 5, 10, 15, 30, 60, 120)]

Value = float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, its class in the style sheet, and a value for each instant."""

    name: str
    kind: str
    values: Sequence[Value]


def chart(
    title: str,
    at_ms: Sequence[int],
    lines: Sequence[Line],
    *,
    shown: Callable[[float], str],
    gap_ms: int,
    until_ms: int = 0,
) -> Markup:
    """Return a picture of lines over the same instants, with a legend that has their values as of now.

    Args:
        title: what it is of.
        at_ms: the instants, in their order.
        lines: what to draw.
        shown: a value in words.
        gap_ms: instants further apart than this are not joined, nor is one so long ago as of now.
        until_ms: now, where the picture ends. Defaults to the last instant.
    """
    last_ms = at_ms[-1] if at_ms else -inf
    until_ms = max(until_ms, at_ms[-1] if at_ms else 0)
    now = [line.values[-1] if until_ms - last_ms <= gap_ms else None for line in lines]
    said = [UNKNOWN if value is None else shown(value) for value in now]
    names = Markup("").join(SAMPLE.format(line.kind, line.name, word) for line, word in zip(lines, said, strict=True))
    known = [value for line in lines for value in line.values if value is not None]
    picture = _nothing()
    if known and len(at_ms) > 1:
        words = "; ".join(
            f"{line.name} {'unknown' if value is None else word}"
            for line, value, word in zip(lines, now, said, strict=True)
        )
        picture = _picture(f"{title}, now: {words}", at_ms, until_ms, lines, shown, gap_ms)
    return Markup('<figure class="chart"><figcaption>{}</figcaption>{}<ul class="legend">{}</ul></figure>').format(
        title, picture, names
    )


def bar(share: float, title: str) -> Markup:
    """Return a bar that is filled so far, from 0 to 1."""
    filled = min(1.0, max(0.0, share)) * 100
    return Markup(
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="all" width="100" height="6"/><rect class="done" width="{}" height="6"/></svg>'
    ).format(title, f"{filled:.1f}")


def top_of(values: Iterable[float]) -> float:
    """Return the least round number that none of the values exceeds: 1, 2 or 5 times a power of ten."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most * (1 - 1e-9))


def _nothing() -> Markup:
    return Markup('<p class="empty">Nothing is known yet.</p>')


def _picture(
    says: str, at_ms: Sequence[int], until_ms: int, lines: Sequence[Line], shown: Callable[[float], str], gap_ms: int
) -> Markup:
    top = top_of(value for line in lines for value in line.values if value is not None)
    first, last = at_ms[0], until_ms

    def x(instant_ms: float) -> float:
        return LEFT + (instant_ms - first) / max(1, last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [*_heights(top, y, shown), *_times(first, last, x)]
    for line in lines:
        for piece in _pieces(*_fewer(at_ms, line.values), gap_ms=gap_ms * _step(at_ms)):
            points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece)
            parts.append(f'<polyline class="series {escape(line.kind)}" points="{points}"/>')
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH,
        HEIGHT,
        says,
        Markup("".join(parts)),  # noqa: S704 numbers, and words that are escaped
    )


def _heights(top: float, y: Callable[[float], float], shown: Callable[[float], str]) -> Iterator[str]:
    for value in (0.0, top / 2, top):
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        at = f'x="{LEFT - 6}" y="{y(value) + 3.5:.1f}"'
        yield f'<text {at} text-anchor="end">{escape(shown(value))}</text>'


def _times(first: int, last: int, x: Callable[[float], float]) -> Iterator[str]:
    every_ms = next((one for one in MARKS_MS if (last - first) / one <= 6), MARKS_MS[-1])
    for at_ms in range(ceil(first / every_ms) * every_ms, last + 1, every_ms):
        words = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M")
        yield f'<line class="grid" x1="{x(at_ms):.1f}" x2="{x(at_ms):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        if LEFT + 14 < x(at_ms) < WIDTH - 16:
            yield f'<text x="{x(at_ms):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{words}</text>'


def _step(at_ms: Sequence[int]) -> int:
    """How many instants are one point."""
    return ceil(len(at_ms) / MOST_POINTS)


def _fewer(at_ms: Sequence[int], values: Sequence[Value]) -> tuple[Sequence[int], Sequence[Value]]:
    """Some instants together are one, with the mean of what is known of them."""
    step = _step(at_ms)
    if step == 1:
        return at_ms, values
    starts = range(0, len(at_ms), step)
    return [at_ms[n] for n in starts], [_mean(values[n : n + step]) for n in starts]


def _mean(values: Sequence[Value]) -> Value:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None


def _pieces(at_ms: Sequence[int], values: Sequence[Value], *, gap_ms: int) -> Iterator[list[tuple[int, float]]]:
    """What can be drawn without lifting the pen; a point that stands alone is a short line."""
    piece: list[tuple[int, float]] = []
    for at, value in zip(at_ms, values, strict=True):
        if piece and (value is None or at - piece[-1][0] > gap_ms):
            yield _seen(piece)
            piece = []
        if value is not None:
            piece.append((at, value))
    if piece:
        yield _seen(piece)


def _seen(piece: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return piece if len(piece) > 1 else [*piece, *piece]


def spans_over(at_ms: Sequence[int], gap_ms: int) -> list[tuple[int, int]]:
    """Return the spans of time in which instants follow each other without a gap."""
    if not at_ms:
        return []
    breaks = [n for n, (one, other) in enumerate(pairwise(at_ms), 1) if other - one > gap_ms]
    starts, ends = [0, *breaks], [*breaks, len(at_ms)]
    return [(at_ms[start], at_ms[end - 1]) for start, end in zip(starts, ends, strict=True)]
