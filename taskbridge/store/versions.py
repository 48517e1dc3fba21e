"""A document whose last versions are kept: routes, migrations, orders. Who writes one knows what is in it."""

from __future__ import annotations

from typing import Protocol

import msgspec

#: How many versions are kept.
KEPT = 100


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The document as it was written once: version 0 is that nothing ever was."""

    version: int = 0
    document: bytes = b""
    who: str = ""
    note: str = ""
    at_ms: int = 0
    """When, by the store's clock."""


class Versions(Protocol):
    """One document, changed by compare-and-set, with its last hundred versions."""

    def read(self, known: int = -1) -> Version | None:
        """Return the newest version, or None where it is the one that is known.

        Producers ask in the middle of their work, so no answer is waited for longer than half a second.
        """

    def write(self, version: int, document: bytes, *, who: str, note: str) -> int:
        """Write what follows a version, and return its number; 0 when another follows it already.

        The same words again are the same version: who was not answered may ask again. A full store takes it too.
        """

    def history(self, limit: int) -> list[Version]:
        """Return the newest versions, the newest first."""
