"""Change a versioned document: what is wanted is said of it as it is, and written only if it still is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import ConfigError, DecodeError, StoreUnavailable
from .store import Store
from .store.versions import KEPT, Version, Versions

#: How often a change is tried while others change the document.
TRIES = 20

#: Most characters of a note, and of who wrote it.
LONGEST_NOTE = 500

D = TypeVar("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[D]):
    """A kind of document: where it lies, and how it is read and written.

    ``what`` it is called, in the plural; ``shown_by`` is the command that tells how it stands.
    """

    what: str
    shown_by: str
    place: Callable[[Store], Versions]
    encode: Callable[[D], bytes]
    decode: Callable[[bytes], D]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(Generic[D]):
    """What a change came to. ``written`` is False where it would have changed nothing."""

    version: int
    before: D
    now: D
    written: bool = True


def newest(kind: Kind[D], store: Store) -> tuple[Version, D]:
    """Return the newest version, and what is in it.

    Raises:
        ConfigError: a newer release wrote it.
        StoreUnavailable: the store is away.
    """
    found = kind.place(store).read() or Version()
    return found, content(kind, found)


def content(kind: Kind[D], version: Version) -> D:
    """Return what is in a version.

    Raises:
        ConfigError: a newer release wrote it.
    """
    try:
        return kind.decode(version.document)
    except DecodeError as error:
        raise ConfigError(f"version {version.version}: {error}; run the newer release") from None


def older(kind: Kind[D], store: Store, version: int) -> D:
    """Return what was in an older version; version 0 is that nothing was written.

    Raises:
        ConfigError: it is not kept, or a newer release wrote it.
    """
    if version == 0:
        return kind.decode(b"")
    history = kind.place(store).history(KEPT)
    for found in history:
        if found.version == version:
            return content(kind, found)
    kept = f"versions {history[-1].version} to {history[0].version} are kept" if history else "nothing was written yet"
    raise ConfigError(f"there is no version {version} of the {kind.what}: {kept}")


def change(
    kind: Kind[D], store: Store, wanted: Callable[[D], D], *, who: str, note: str = "", anew: bool = False
) -> Changed[D]:
    """Write what is wanted of a document, as a version of its own; ``wanted`` is asked again where another was faster.

    Args:
        kind: which document.
        store: where it is.
        wanted: what it is to be, of what it is.
        who: changes it.
        note: why.
        anew: write also what is the same already, so that whoever has read it before must read it again.

    Raises:
        ConfigError: what ``wanted`` refuses, a note that is too long, or a document that is too large.
        StoreUnavailable: it may or may not have been written.
    """
    if len(note) > LONGEST_NOTE:
        raise ConfigError(f"note: expected at most {LONGEST_NOTE} characters, got {len(note)}")
    for _ in range(TRIES):
        found, before = newest(kind, store)
        now = wanted(before)
        if now == before and not anew:
            return Changed(version=found.version, before=before, now=now, written=False)
        version = _write(kind, store, found.version, kind.encode(now), who[:LONGEST_NOTE], note)
        if version:
            return Changed(version=version, before=before, now=now)
    raise StoreUnavailable(f"the {kind.what} change all the while; nothing was written, try again")


def _write(kind: Kind[D], store: Store, version: int, document: bytes, who: str, note: str) -> int:
    try:
        return kind.place(store).write(version, document, who=who, note=note)
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"{error}; whether the {kind.what} were changed is not known: `{kind.shown_by}` tells"
        ) from error
