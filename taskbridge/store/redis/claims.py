"""Claims in Redis: ``begin`` and ``finish`` are one trip each, or one together.

What lets a broker on another server forget its copy is confirmed first, where that is asked for (``store_wait``): every
``finish``, and a ``begin`` that does not run. One that runs waits for nothing, for its copy stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import StoreUnconfirmed
from ...message import encode
from ...needs import NeedsLock, NeedsTokens
from ...redis.confirming import Confirming
from ...redis.script import Script
from ...redis.server import Argument, Server
from .. import LEASE_MS, Begin, Begun, Finish, Held
from ..keys import Keys
from ..trail import facts_of

PACKAGE = __name__.rpartition(".")[0]

#: The verdicts after which the broker keeps its copy.
RUNS = ("run", "held")


class RedisClaims:
    """The right to run one message, leased.

    An answer that was not confirmed in time is kept, by its claim: whoever asks again is told that, and not that the
    same was told before.
    """

    def __init__(self, server: Server, keys: Keys, confirming: Confirming) -> None:
        self._server = server
        self._confirming = confirming
        self._answers: dict[str, str] = {}
        self._verdicts: dict[str, Begun] = {}
        self._nothing_held = Held(keys.leases, "")  # an ACL looks at every word in KEYS, so none may be empty
        self._begin = Script(server, PACKAGE, "begin", keys.record, more_keys=1)
        self._finish = Script(server, PACKAGE, "finish", keys.record, more_keys=1)
        self._renew = Script(server, PACKAGE, "renew", [keys.leases])
        self._lose = Script(server, PACKAGE, "lose", keys.record)
        self._sweep = Script(server, PACKAGE, "sweep", keys.record)

    def begin(self, request: Begin) -> Begun:
        return self._let_go(request, _begun(self._server.exchange(self._packed_begin(request), 1)[0]))

    def finish(self, request: Finish) -> str:
        packed = self._packed_finish(request)
        if not self._waits(request):
            return str(self._server.exchange(packed, 1)[0], "ascii")
        (finished,), late = self._confirming.ask(packed, 1)
        return self._first(request.claim, str(finished, "ascii"), late, repeat="mine")

    def finish_and_begin(self, finish: Finish, begin: Begin) -> tuple[str, Begun]:
        packed = self._packed_finish(finish) + self._packed_begin(begin)
        if not self._waits(finish):
            finished, begun = self._server.exchange(packed, 2)
            return str(finished, "ascii"), self._let_go(begin, _begun(begun))
        (finished, begun), late = self._confirming.ask(packed, 2)
        verdict = self._verdict(begin, _begun(begun), late)
        return self._first(finish.claim, str(finished, "ascii"), late, repeat="mine"), verdict

    def renew(self, claims: Iterable[tuple[str, str]]) -> None:
        members = [f"{claim} {id}" for id, claim in claims]
        if members:
            self._renew(LEASE_MS, *members)

    def lose(self, id: str, claim: str) -> bool:
        return self._taken(id, claim, 1)

    def sweep(self, limit: int) -> list[str]:
        return [id.decode() for id in self._sweep(limit)]

    def release(self, id: str, claim: str) -> bool:
        return self._taken(id, claim, 0)

    def _taken(self, id: str, claim: str, crashed: int) -> bool:
        (stood,), late = self._confirming.ask(self._lose.packed(id, claim, crashed), 1)
        return self._first(claim, str(stood), late, repeat="0") == "1"

    def _waits(self, request: Finish) -> bool:
        """Whether another server keeps a copy, which is acknowledged when this is answered."""
        return self._confirming.waits and request.held is None and not request.hold

    def _let_go(self, request: Begin, begun: Begun) -> Begun:
        """What does not run is asked for again, and confirmed on that trip: the same server says both."""
        if not self._confirming.waits or request.held or request.hold:
            return begun
        if begun.verdict in RUNS:
            self._verdicts.pop(request.claim, None)
            return begun
        self._verdicts.setdefault(request.claim, begun)
        (again,), late = self._confirming.ask(self._packed_begin(request), 1)
        verdict = self._verdict(request, _begun(again), late)
        if late and verdict.verdict not in RUNS:
            raise late
        return verdict

    def _verdict(self, request: Begin, begun: Begun, late: StoreUnconfirmed | None) -> Begun:
        """Return the verdict that was said first, unless another server knows nothing of it and lets it run."""
        first = self._verdicts.pop(request.claim, begun)
        if begun.verdict in RUNS:
            return begun
        if late:
            self._verdicts[request.claim] = first
        return first

    def _first(self, claim: str, answer: str, late: StoreUnconfirmed | None, *, repeat: str) -> str:
        """Return what was answered first, where it is only repeated now.

        Raises:
            StoreUnconfirmed: it was not confirmed in time; whoever asks again is answered as now.
        """
        first = self._answers.pop(claim, answer)
        answer = first if answer == repeat else answer
        if late:
            self._answers[claim] = answer
            raise late
        return answer

    def _packed_begin(self, request: Begin) -> bytes:
        message, held = request.message, request.held or self._nothing_held
        return self._begin.packed(
            *(held.key, message.id, message.seq, request.claim, message.attempt, message.queue),
            *(message.expires_at_ms, request.max_crashes, request.body, held.tag),
            *(2 if request.ending else int(request.hold), message.task, *_fields(request)),
        )

    def _packed_finish(self, request: Finish) -> bytes:
        held = request.held or self._nothing_held
        return self._finish.packed(
            *(held.key, request.id, request.claim, request.state, _spent(request)),
            *(request.due_ms, request.why, request.traceback, request.group, request.body, held.tag),
            *(facts_of(request.of) if request.of else "", *_onward(request)),
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
