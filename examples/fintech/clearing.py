"""The clearing house: takes a large transfer now and settles it later. It calls nobody back; it has to be asked.

How often it wants to be asked is decided by a hash of the transfer, so it is the same in every run.
"""

from __future__ import annotations

from zlib import crc32

#: It has settled a transfer at the first look, or at the latest at this one.
MOST_LOOKS = 3


def submit(row: int) -> str:
    """Hand a transfer over; returns the name under which it is asked for. Told again, it is the same one."""
    return f"clearing-{row}"


def looks(row: int) -> int:
    """At which look it has settled a transfer, from 1."""
    return 1 + crc32(submit(row).encode()) % MOST_LOOKS


def is_settled(reference: str, look: int) -> bool:
    """Say whether it has settled what it knows by this name, at this look, from 1."""
    return look >= looks(int(reference.removeprefix("clearing-")))
