"""Chains in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ..flow import ChainState, Follower
from .flow import Chain
from .records import Records


class MemoryChains:
    """Links that wait for the one before them."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._flow = records.flow

    def keep(self, id: str, links: Sequence[Follower], *, first: int = 1, on_error: str, call: Follower | None) -> None:
        with self._records.lock:
            chain = self._flow.chain(id)
            if chain and chain.begun:
                return
            known = chain.links if chain else {}
            known.update(enumerate(links, first))
            now_ms = self._records.now_ms()
            self._flow.chains[id] = Chain(links=known, on_error=on_error, call=call, made_ms=now_ms)

    def look(self, id: str) -> ChainState | None:
        with self._records.lock:
            chain = self._flow.chain(id)
            return _state(id, chain) if chain else None

    def newest(self, limit: int) -> list[ChainState]:
        with self._records.lock:
            found = [_state(id, chain) for id in list(self._flow.chains) if (chain := self._flow.chain(id))]
            return sorted(found, key=lambda state: (state.made_ms, state.id), reverse=True)[:limit]


def _state(id: str, chain: Chain) -> ChainState:
    return ChainState(id=id, at=chain.at, left=len(chain.links), on_error=chain.on_error, made_ms=chain.made_ms)
