"""Chains in Redis: a hash each, from which one link after another is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...redis.script import Script
from ...redis.server import Server
from ..flow import ChainState, Follower
from ..keys import Keys
from .claims import PACKAGE
from .followers import number, text_of
from .outbox import BULK


class RedisChains:
    """Links that wait for the one before them."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._flow = keys.flow
        self._keep = Script(server, PACKAGE, "put_chain", keys.record)

    def keep(self, id: str, links: Sequence[Follower], *, first: int = 1, on_error: str, call: Follower | None) -> None:
        for start in range(0, max(1, len(links)), BULK):
            texts = map(text_of, links[start : start + BULK])
            self._keep(id, first + start, on_error, text_of(call), *texts)

    def look(self, id: str) -> ChainState | None:
        return self._states([id.encode()])[0]

    def newest(self, limit: int) -> list[ChainState]:
        ids = self._server.call("ZREVRANGE", f"{self._flow}chains", 0, limit - 1)
        return [state for state in self._states(ids) if state]

    def _states(self, ids: Sequence[bytes]) -> list[ChainState | None]:
        calls: list[tuple[Any, ...]] = []
        for id in ids:
            key = f"{self._flow}chain:{id.decode()}"
            fields = ("HMGET", key, "at", "on_error", "call")
            calls += [fields, ("HLEN", key), ("ZSCORE", f"{self._flow}chains", id)]
        answers = self._server.pipeline(calls)
        return [_state(id.decode(), *answers[3 * i : 3 * i + 3]) for i, id in enumerate(ids)]


def _state(id: str, fields: Sequence[Any], length: int, made: bytes | None) -> ChainState | None:
    at, on_error, _ = fields
    if on_error is None:
        return None
    return ChainState(id=id, at=number(at), left=length - 3, on_error=on_error.decode(), made_ms=number(made))
