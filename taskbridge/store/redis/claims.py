"""Claims in Redis: ``begin`` and ``finish`` are one trip each, or one together."""

from __future__ import annotations

from collections.abc import Iterable

from ...message import encode
from ...needs import NeedsLock, NeedsTokens
from ...redis.script import Script
from ...redis.server import Argument, Server
from .. import LEASE_MS, Begin, Begun, Finish, Held
from ..keys import Keys

PACKAGE = __name__.rpartition(".")[0]


class RedisClaims:
    """The right to run one message, leased."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._nothing_held = Held(keys.leases, "")  # an ACL looks at every word in KEYS, so none may be empty
        self._begin = Script(server, PACKAGE, "begin", keys.record, more_keys=1)
        self._finish = Script(server, PACKAGE, "finish", keys.record, more_keys=1)
        self._renew = Script(server, PACKAGE, "renew", [keys.leases])
        self._lose = Script(server, PACKAGE, "lose", keys.record)
        self._sweep = Script(server, PACKAGE, "sweep", keys.record)

    def begin(self, request: Begin) -> Begun:
        return _begun(self._server.exchange(self._packed_begin(request), 1)[0])

    def finish(self, request: Finish) -> str:
        return str(self._server.exchange(self._packed_finish(request), 1)[0], "ascii")

    def finish_and_begin(self, finish: Finish, begin: Begin) -> tuple[str, Begun]:
        packed = self._packed_finish(finish) + self._packed_begin(begin)
        finished, begun = self._server.exchange(packed, 2)
        return str(finished, "ascii"), _begun(begun)

    def renew(self, claims: Iterable[tuple[str, str]]) -> None:
        members = [f"{claim} {id}" for id, claim in claims]
        if members:
            self._renew(LEASE_MS, *members)

    def lose(self, id: str, claim: str) -> bool:
        return bool(self._lose(id, claim, 1))

    def sweep(self, limit: int) -> list[str]:
        return [id.decode() for id in self._sweep(limit)]

    def release(self, id: str, claim: str) -> bool:
        return bool(self._lose(id, claim, 0))

    def _packed_begin(self, request: Begin) -> bytes:
        message, held = request.message, request.held or self._nothing_held
        return self._begin.packed(
            *(held.key, message.id, message.seq, request.claim, message.attempt, message.queue),
            *(message.expires_at_ms, request.max_crashes, request.body, held.tag),
            *(int(request.hold), *_fields(request)),
        )

    def _packed_finish(self, request: Finish) -> bytes:
        held = request.held or self._nothing_held
        return self._finish.packed(
            *(held.key, request.id, request.claim, request.state, _spent(request)),
            *(request.due_ms, request.why, request.traceback, request.group, request.body, held.tag),
            *_onward(request),
        )


def _spent(request: Finish) -> int:
    return int(request.counted) if request.ran else -1


def _onward(request: Finish) -> tuple[Argument, ...]:
    """What a link gives to the next one, and what a chunk came to; most messages have neither."""
    if request.next is None:
        return (request.result,) if request.result else ()
    after = request.next.message
    body = (after.id, encode(after)) if after else ("", "")
    return (request.result or b"null", request.next.did, bytes(request.next.at), *body)


def _fields(request: Begin) -> tuple[Argument, ...]:
    """What it needs, as fields of its record; most messages need nothing."""
    if request.rates:
        return ("locks", _lines(request.locks), "rates", _lines(request.rates))
    return ("locks", _lines(request.locks)) if request.locks else ()


def _lines(needs: tuple[NeedsLock, ...] | tuple[NeedsTokens, ...]) -> str:
    """Return needs as record.lua reads them: one a line."""
    return "\n".join(map(_line, needs)) if needs else ""


def _line(need: NeedsLock | NeedsTokens) -> str:
    if isinstance(need, NeedsLock):
        return f"{need.at_most} {need.conflict} {need.key}"
    return f"{need.interval_us} {need.burst} {need.weight} {need.name} {need.key}"


def _begun(reply: bytes) -> Begun:
    line, _, parked = reply.decode().partition("\n")
    verdict, fence, starts, attempt, crashes, wait_us, key = line.split(" ", 6)
    locked_ms, throttled_ms = map(int, parked.split()) if parked else (0, 0)
    return Begun(
        verdict=verdict,
        fence=int(fence),
        starts=int(starts),
        attempt=int(attempt),
        crashes=int(crashes),
        key=key,
        wait_ms=int(wait_us) / 1000,
        locked_ms=locked_ms,
        throttled_ms=throttled_ms,
    )
