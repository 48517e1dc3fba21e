"""Batches and chains that have not been forgotten: how far each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..page import Look, Page

#: How far back the lists go.
LOOKED_AT = 1_000


def read_batches(look: Look) -> dict[str, Any]:
    """The newest first."""
    return _newest(look, look.bridge.store.batches.newest)


def read_chains(look: Look) -> dict[str, Any]:
    """Those that have not ended, the newest first."""
    return _newest(look, look.bridge.store.chains.newest)


def _newest(look: Look, read: Callable[[int], Sequence[Any]]) -> dict[str, Any]:
    """A part of the newest; ``cut`` says how many there are to see where that is not all, for who is at their end."""
    wanted = look.offset + look.limit + 1
    found = read(min(LOOKED_AT, wanted))
    return {"part": look.part(found[look.offset :]), "cut": LOOKED_AT if len(found) == LOOKED_AT < wanted else 0}


BATCHES = Page(name="batches", path="/batches", title="Batches", template="batches.html", read=read_batches)
CHAINS = Page(name="chains", path="/chains", title="Chains", template="chains.html", read=read_chains)
