"""Delayed and ready messages in Redis: one sorted set, leased and marked, never popped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import ClaimLost, ConfigError
from ...message import Message, encode
from ...needs import ALONE, Same, Within
from ...redis.bell import Bell
from ...redis.confirming import Confirming
from ...redis.script import Script
from ...redis.server import Ahead, Argument, Server
from .. import NOWHERE, RELAY_LEASE_MS, Adopted, Copy, Due, Standing
from ..keys import Keys
from .claims import PACKAGE

#: How many messages go into one script call; Lua's stack takes about 8,000 arguments.
BULK = 1_000


class RedisOutbox:
    """Messages that the store owns until an engine has them."""

    def __init__(self, server: Server, keys: Keys, confirming: Confirming) -> None:
        self._server = server
        self._confirming = confirming
        self._keys = keys
        self._bell = Bell(server, keys.bell)
        self._put = Script(server, PACKAGE, "put", keys.record)
        self._put_once = Script(server, PACKAGE, "put_once", keys.record)
        self._take = Script(server, PACKAGE, "take", keys.record)
        self._mark = Script(server, PACKAGE, "mark", keys.record)
        self._adopt = Script(server, PACKAGE, "adopt", keys.record, more_keys=1)

    def put(self, messages: Sequence[Message], wait_ms: int, within: Within = ALONE) -> list[bool]:
        created: list[bool] = []
        where = _where(within)
        for start in range(0, len(messages), BULK):
            words = _words(messages[start : start + BULK])
            created += _created(self._confirming.run(self._put, wait_ms, *where, *words))
        return created

    def put_all(self, trips: Iterable[Sequence[Message]], wait_ms: int, within: Within = ALONE) -> Iterator[list[bool]]:
        asked: Ahead | None = None
        where = _where(within)
        for messages in trips:  # is made while the server works at the trip before
            words = _words(messages)
            if asked is not None:
                yield _created(self._confirming.reply(asked))
            asked = self._confirming.ahead(self._put, wait_ms, *where, *words)
        if asked is not None:
            yield _created(self._confirming.reply(asked))

    def put_once(
        self, messages: Sequence[Message], same: Sequence[tuple[Same, ...]], wait_ms: int, within: Within = ALONE
    ) -> list[Standing]:
        found: list[Standing] = []
        where = _where(within)
        for start in range(0, len(messages), BULK // 2):
            pairs = zip(messages[start : start + BULK // 2], same[start : start + BULK // 2], strict=True)
            words = [word for message, keys in pairs for word in _once(message, keys)]
            flat = _accepted(self._confirming.run(self._put_once, wait_ms, *where, *words))
            found += [Standing(flat[i].decode(), created=bool(flat[i + 1])) for i in range(0, len(flat), 2)]
        return found

    def take(self, limit: int) -> list[Due]:
        flat = self._take(RELAY_LEASE_MS, limit)
        return [
            Due(
                id=flat[i].decode(),
                seq=int(flat[i + 1]),
                attempt=int(flat[i + 2]),
                body=flat[i + 3],
                front=bool(flat[i + 4]),
                fresh_ms=int(flat[i + 5]),
            )
            for i in range(0, len(flat), 6)
        ]

    def mark(self, published: Sequence[tuple[str, int]], to: Mapping[str, str] = NOWHERE) -> None:
        for start in range(0, len(published), BULK):
            few = published[start : start + BULK]
            self._mark(*(word for id, seq in few for word in (id, seq, to.get(id, ""))))

    def adopt(self, copies: Sequence[Copy], shelf: str = "", backend: str = "") -> list[Adopted]:
        found: list[Adopted] = []
        for start in range(0, len(copies), BULK // 2):
            words = [word for one in copies[start : start + BULK // 2] for word in _copy(one)]
            words = [shelf or self._keys.leases, RELAY_LEASE_MS, backend, *words]  # an ACL wants no empty key
            flat = self._confirming.run(self._adopt, *words)
            found += [Adopted(flat[i].decode(), int(flat[i + 1])) for i in range(0, len(flat), 2)]
        return found

    def wait(self, timeout_s: float) -> None:
        *firsts, (seconds, microseconds) = self._server.pipeline(
            [("ZRANGE", key, 0, 0, "WITHSCORES") for key in (self._keys.due, self._keys.pacing, self._keys.ticks)]
            + [("TIME",)]
        )
        for first in filter(None, firsts):
            due_in_s = float(first[1]) / 1000 - int(seconds) - int(microseconds) / 1e6
            timeout_s = min(timeout_s, due_in_s)
        if timeout_s > 0:
            self._bell.wait(timeout_s)

    def close(self) -> None:
        """Listen no more."""
        self._bell.close()


def _where(within: Within) -> tuple[str, str, str, str]:
    """What counts new messages and whose claim enqueues them, as flow.lua reads it, and whether they are foreign."""
    if within is ALONE:
        return "", "", "", ""
    tallies = [f"in batch:{id}" for id in within.batches] + [f"in run:{id}" for id in within.runs]
    return "\n".join(tallies), within.chunk, within.claim, "1" if within.foreign else ""


def _words(messages: Sequence[Message]) -> list[Argument]:
    return [word for one in messages for word in (one.id, one.queue, encode(one), _own_part(one))]


def _copy(one: Copy) -> tuple[Argument, ...]:
    message = one.message
    return message.id, message.seq, message.attempt, message.queue, encode(message), one.due_ms, one.tag


def _created(reply: Any) -> list[bool]:
    return [bool(one) for one in _accepted(reply)]


def _own_part(message: Message) -> str:
    flow = message.flow
    return f"chain {flow.link} {flow.chain}" if flow and flow.chain else ""


def _accepted(reply: Any) -> list[Any]:
    if reply == b"lost":
        raise ClaimLost("this chunk has another owner by now: it enqueues nothing more")
    if reply == b"unchained":
        raise ConfigError("the links that follow were kept a day ago and are forgotten: make the chain anew")
    if reply == b"closed":
        raise ConfigError("the batch is closed, or was never opened: nothing more can be added to it")
    found: list[Any] = reply
    return found


def _once(message: Message, keys: tuple[Same, ...]) -> list[Argument]:
    of_keys = [word for one in keys for word in (one.until, one.key, one.ttl_ms)]
    return [message.id, message.queue, encode(message), len(keys), *of_keys]
