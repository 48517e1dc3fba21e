"""Messages and code in Redis that wait for a lock or a limit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ...redis.script import Script
from ...redis.server import Server, pack
from .. import COMING_MS, PATIENCE_MS, LimitState, LockState, Turn
from ..keys import Keys
from .claims import PACKAGE

#: What a limit is set to while nobody starts at it.
PAUSED = "paused"


class RedisWaiting:
    """Waiting lists are sorted by who began to wait first; the scripts of claims put in and take out."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._let_out = Script(server, PACKAGE, "let_out", keys.record)
        self._break_lock = Script(server, PACKAGE, "break_lock", keys.record)
        self._set_limit = Script(server, PACKAGE, "set_limit", [keys.limits, keys.pacing, keys.bell])

    def let_out(self, limit: int) -> int:
        return int(self._let_out(limit, COMING_MS))

    def await_turn(self, id: str, timeout_s: float) -> bool:
        keys = self._keys
        self._server.call("PEXPIRE", keys.message + id, PATIENCE_MS)
        return self._server.blocking(pack(("BLPOP", keys.wake + id, f"{timeout_s:.3f}")), timeout_s) is not None

    def set_limit(self, name: str, *, interval_us: int = 0, burst: int = 0, paused: bool = False) -> None:
        words = [f"{interval_us} {burst}"] if interval_us else []
        self._set_limit(name, " ".join([*words, PAUSED] if paused else words))

    def limits(self, keys: int = -1) -> list[LimitState]:
        changed, waited_at = self._server.pipeline(
            [("HGETALL", self._keys.limits), ("ZRANGE", self._keys.pacing, 0, keys - 1 if keys > 0 else -1)]
        )
        waited_at = [] if keys == 0 else waited_at
        asked = [("ZCARD", self._keys.rate_wait + key.decode()) for key in waited_at]
        return limit_states(changed, waited_at, self._server.pipeline(asked) if asked else [])

    def locks(self) -> list[LockState]:
        keys = self._keys
        leased, reserved = self._server.pipeline([("ZRANGE", keys.leases, 0, -1), ("ZRANGE", keys.reserved, 0, -1)])
        ids = sorted({*(member.partition(b" ")[2] for member in leased), *reserved})
        if not ids:
            return []
        needs = self._server.pipeline([("HGET", keys.message + id.decode(), "locks") for id in ids])
        names = sorted({line.split(" ", 2)[2] for need in needs if need for line in need.decode().split("\n")})
        return lock_states(self._server, keys, names)

    def turns(self, id: str) -> list[Turn]:
        keys = self._keys
        st, locks, rates, at, since = self._server.call(
            "HMGET", keys.message + id, "st", "locks", "rates", "at", "since"
        )
        if st == b"LOCKED":
            wanted = [line.split(" ", 2) for line in locks.decode().split("\n")]
            names = [key for _, conflict, key in wanted if conflict == "wait"]
            ranks = self._server.pipeline([("ZRANK", keys.lock_wait + name, id) for name in names])
            held = {lock.key: lock for lock in lock_states(self._server, keys, names)}
            pairs = zip(names, ranks, strict=True)
            return [_at_lock(held.get(name, LockState(key=name)), rank, int(since or 0)) for name, rank in pairs]
        if st != b"THROTTLED":
            return []
        needs = [line.split(" ", 4) for line in rates.decode().split("\n")]
        need = next((need for need in needs if need[4] == at.decode()), None)
        return [self._at_limit(id, *need, since_ms=int(since or 0))] if need else []

    def _at_limit(
        self, id: str, interval_us: str, burst: str, weight: str, name: str, key: str, *, since_ms: int
    ) -> Turn:
        keys = self._keys
        rank, due_us, words = self._server.pipeline(
            [("ZRANK", keys.rate_wait + key, id), ("GET", keys.rate + key), ("HGET", keys.limits, name)]
        )
        state = _state(name, (words or b"").decode().split(), {})
        return Turn(
            kind="limit",
            key=key,
            name=name,
            since_ms=since_ms,
            ahead=rank or 0,
            interval_us=state.interval_us or int(interval_us),
            burst=max(state.burst or int(burst), int(weight)),
            weight=int(weight),
            paused=state.paused,
            due_ms=int(float(due_us or 0)) // 1000,
        )

    def break_lock(self, key: str) -> int:
        return int(self._break_lock(key))


def lock_states(server: Server, keys: Keys, names: Sequence[str]) -> list[LockState]:
    """Return the locks of these keys that are held or reserved, in this order."""
    asked = [("HGETALL", keys.lock + name) for name in names] + [("ZCARD", keys.lock_wait + name) for name in names]
    answers = server.pipeline(asked) if asked else []
    found = [_lock(name, flat, n) for name, flat, n in zip(names, answers, answers[len(names) :], strict=False)]
    return [lock for lock in found if lock.holders or lock.reserved]


def limit_states(changed: Sequence[bytes], waited_at: Sequence[bytes], counts: Sequence[int]) -> list[LimitState]:
    """Return limits by name: of {name, what was set, ...}, and of the keys that are waited at, by how many."""
    words = {changed[i].decode(): changed[i + 1].decode().split() for i in range(0, len(changed), 2)}
    waiting: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for key, count in zip((key.decode() for key in waited_at), counts, strict=True):
        waiting[key.partition(":")[0]][key] = count
    return [_state(name, words.get(name, []), waiting[name]) for name in sorted({*words, *waiting})]


def _state(name: str, words: list[str], waiting: dict[str, int]) -> LimitState:
    interval_us, burst = map(int, words[:2]) if len(words) >= 2 else (0, 0)
    return LimitState(name=name, interval_us=interval_us, burst=burst, paused=PAUSED in words, waiting=waiting)


def _at_lock(lock: LockState, rank: int | None, since_ms: int) -> Turn:
    return Turn(
        kind="lock", key=lock.key, since_ms=since_ms, ahead=rank or 0, holders=lock.holders, reserved=lock.reserved
    )


def _lock(key: str, flat: list[bytes], waiting: int) -> LockState:
    held = {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}
    return LockState(
        key=key,
        holders=tuple(sorted(id for id, claim in held.items() if claim)),
        reserved=tuple(sorted(id for id, claim in held.items() if not claim)),
        waiting=waiting,
    )
