"""Text that cannot steer the terminal it is shown on."""

from __future__ import annotations


def safe(value: object, *, lines: bool = False) -> str:
    """Return text in which nothing moves a cursor, rings, colours or turns the writing round.

    Args:
        value: what to show.
        lines: keep line ends and tabs.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(value))
