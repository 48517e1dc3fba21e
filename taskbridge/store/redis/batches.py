"""Batches in Redis: a hash of counts each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from ...redis.confirming import Confirming
from ...redis.script import Script
from ...redis.server import Server
from ..flow import BatchState, Follower
from ..keys import Keys
from .claims import PACKAGE
from .followers import number, text_of

_FIELDS = ("total", "open", "done", "failed", "dropped", "builder", "sealed", "made", "ended")

#: How many are looked at in one trip.
PAGE = 100


class RedisBatches:
    """Messages that are counted together."""

    def __init__(self, server: Server, keys: Keys, confirming: Confirming) -> None:
        self._server = server
        self._confirming = confirming
        self._flow = keys.flow
        self._open = Script(server, PACKAGE, "open_batch", keys.record)
        self._seal = Script(server, PACKAGE, "seal_batch", keys.record)

    def open(self, id: str, *, when: str, then: Follower | None, error: Follower | None, builder: str = "") -> bool:
        return bool(self._open(id, when, text_of(then), text_of(error), builder))

    def seal(self, id: str) -> bool:
        return bool(self._confirming.run(self._seal, id))

    def look(self, id: str) -> BatchState | None:
        return self._states([id.encode()])[0]

    def newest(self, limit: int) -> list[BatchState]:
        found: list[BatchState] = []
        for start in count(0, PAGE):  # some of the index are forgotten
            ids = self._server.call("ZREVRANGE", f"{self._flow}batches", start, start + PAGE - 1)
            found += filter(None, self._states(ids))
            if len(ids) < PAGE or len(found) >= limit:
                break
        return found[:limit]

    def _states(self, ids: Sequence[bytes]) -> list[BatchState | None]:
        answers = self._server.pipeline([("HMGET", f"{self._flow}batch:{id.decode()}", *_FIELDS) for id in ids])
        return [_state(id.decode(), fields) for id, fields in zip(ids, answers, strict=True)]


def _state(id: str, fields: Sequence[Any]) -> BatchState | None:
    total, open_now, done, failed, dropped, builder, sealed, made, ended = fields
    if made is None:
        return None
    return BatchState(
        id=id,
        total=number(total),
        open=number(open_now),
        done=number(done),
        failed=number(failed),
        dropped=number(dropped),
        builder=(builder or b"").decode(),
        sealed=sealed is not None,
        made_ms=number(made),
        ended_ms=number(ended),
    )
