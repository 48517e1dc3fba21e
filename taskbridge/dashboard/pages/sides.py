"""Which side has which colour: the same on every page, as long as the same backends are there."""

from __future__ import annotations

from collections.abc import Iterable

#: How many colours there are for sides.
COLOURS = 6


def kinds(names: Iterable[str]) -> dict[str, str]:
    """Return the class of each backend's colour, by name."""
    return {name: f"of-{n % COLOURS + 1}" for n, name in enumerate(sorted(set(names)))}
