"""Text that cannot steer the terminal it is shown on, and shows no password."""

from __future__ import annotations

from ..redis.url import redacted


def safe(value: object, *, lines: bool = False) -> str:
    """Return text in which nothing moves a cursor, rings, colours or turns the writing round.

    Args:
        value: what to show.
        lines: keep line ends and tabs.
    """
    text = str(value)
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def without_passwords(text: str) -> str:
    """Return a text whose URLs show no password."""
    return redacted(text) if "://" in text else text
