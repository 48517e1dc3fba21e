"""How numbers are said on pages: few digits, with their unit; a dash for what is not known."""

from __future__ import annotations

import math

from ..operations.words import span

UNKNOWN = "–"  # noqa: RUF001 a dash as long as a digit


def took(ms: float | None) -> str:
    """``0.8 ms``, ``12 ms``, ``1.5 s``, ``3 min 5 s``: a span in milliseconds."""
    if ms is None or not math.isfinite(ms):
        return UNKNOWN
    if ms < 1_000:
        return f"{ms:.2g} ms" if ms < 10 else f"{ms:.0f} ms"
    return f"{ms / 1000:.2g} s" if ms < 10_000 else span(round(ms / 1000) * 1000)


def rate(per_s: float | None) -> str:
    """``0``, ``0.25/s``, ``120/s``, ``1.2k/s``."""
    return UNKNOWN if per_s is None else "0" if not per_s else f"{short(per_s)}/s"


def short(number: float | None) -> str:
    """``0.25``, ``950``, ``12.3k``, ``1.2M``: a number for an axis; what is below a hundredth is none."""
    if number is None:
        return UNKNOWN
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}" if abs(number) >= 1 or not number else f"{number:.2f}".rstrip("0").rstrip(".")


def percent(share: float | None) -> str:
    """``0 %``, ``0.4 %``, ``12 %``: a share from 0 to 1."""
    if share is None:
        return UNKNOWN
    return f"{share * 100:.2g} %" if 0 < share < 0.1 else f"{share * 100:.0f} %"
