"""How full the store in Redis is: three trips, each command of which costs little however much there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ...redis.server import Argument, Server
from .. import LockState, Record
from ..flow import RunState
from ..keys import Keys
from ..levels import Levels
from .messages import by_state, read_records
from .runs import RedisRuns
from .waiting import limit_states, lock_states

#: How many fields of the counts are read, about: eight states of each queue. HSCAN answers a smaller hash whole.
COUNTED = 5_000


class RedisGauging:
    """One look at all of it."""

    def __init__(self, server: Server, keys: Keys, runs: RedisRuns) -> None:
        self._server = server
        self._keys = keys
        self._runs = runs

    def read(self, duty: str, *, limit: int, runs: int, most: int = 0) -> Levels:
        seen = self._first(duty, limit)
        seconds, microseconds = seen["time"]
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        claims = [lease.decode().partition(" ")[::2] for lease in seen["leases"]]
        reserved = seen["reserved"] if most else []
        waiting, ends, records, needs = self._second(seen["paced"], seen["runs"], [id for _, id in claims], reserved)
        running = {
            id: (record[1].decode(), claim, int(record[3] or 0))
            for (claim, id), record in zip(claims, records, strict=True)
            if record[0] == b"RUN" and not record[2]
        }
        going_on = [id for id, (task, end) in zip(seen["runs"], ends, strict=True) if task and not end]
        return Levels(
            now_ms=now_ms,
            counts=by_state(seen["counts"][1]),
            running=[(queue, claim) for queue, claim, _ in running.values()],
            claims=seen["claims"],
            overdue_ms=max(0, now_ms - int(float(seen["due"][1]))) if seen["due"] else 0,
            leader=(seen["leader"] or b"").decode(),
            limits=limit_states(seen["limits"], seen["paced"], waiting),
            limit_keys=seen["limit_keys"],
            runs=self._states(going_on[:runs]),
            batches=seen["batches"] - seen["without_members"],
            longest=self._longest({id: begun_ms for id, (_, _, begun_ms) in running.items()}, most),
            locks=self._waited_at([*(record[4] for record in records), *needs], limit, most),
        )

    def _first(self, duty: str, limit: int) -> dict[str, Any]:
        keys, flow = self._keys, self._keys.flow
        asked: dict[str, tuple[Argument, ...]] = {
            "time": ("TIME",),
            "counts": ("HSCAN", keys.counts, 0, "COUNT", COUNTED),
            "due": ("ZRANGE", keys.due, 0, 0, "WITHSCORES"),
            "leader": ("GET", keys.leader(duty)),
            "limits": ("HGETALL", keys.limits),
            "limit_keys": ("ZCARD", keys.pacing),
            "paced": ("ZRANGE", keys.pacing, 0, limit - 1),
            "claims": ("ZCARD", keys.leases),
            "leases": ("ZRANGE", keys.leases, 0, limit - 1),
            "reserved": ("ZRANGE", keys.reserved, 0, limit - 1),
            "runs": ("ZREVRANGE", f"{flow}runs", 0, limit - 1),
            "batches": ("ZCARD", f"{flow}batches"),
            "without_members": ("ZCARD", f"{flow}batches:until"),
        }
        return dict(zip(asked, self._server.pipeline(list(asked.values())), strict=True))

    def _second(
        self, paced: Sequence[bytes], runs: Sequence[bytes], ids: Sequence[str], reserved: Sequence[bytes]
    ) -> tuple[list[Any], ...]:
        """How many wait at each key, which runs have ended, the records of claims, and the locks of reservations."""
        keys = self._keys
        asked: list[tuple[Argument, ...]] = [
            *(("ZCARD", keys.rate_wait + key.decode()) for key in paced),
            *(("HMGET", f"{keys.flow}run:{id.decode()}", "task", "ended") for id in runs),
            *(("HMGET", keys.message + id, "st", "queue", "hold", "begun", "locks") for id in ids),
            *(("HGET", keys.message + id.decode(), "locks") for id in reserved),
        ]
        answers = iter(self._server.pipeline(asked) if asked else [])
        return tuple(list(islice(answers, len(each))) for each in (paced, runs, ids, reserved))

    def _longest(self, begun_ms: Mapping[str, int], most: int) -> list[Record]:
        """What runs the longest; what has ended since is left out."""
        ids = sorted(begun_ms, key=lambda id: (begun_ms[id], id))[:most]
        flat = [word for id in ids for word in (id.encode(), b"0")]
        return [record for record in read_records(self._server, self._keys, flat) if record.state == "RUN"]

    def _waited_at(self, needs: Sequence[bytes | None], limit: int, most: int) -> list[LockState]:
        """Of the locks that these claims and reservations have, those at which most wait."""
        if not most:
            return []
        names = sorted({line.split(" ", 2)[2] for need in needs if need for line in need.decode().split("\n")})[:limit]
        asked = [("ZCARD", self._keys.lock_wait + name) for name in names]
        counts = dict(zip(names, self._server.pipeline(asked) if asked else [], strict=True))
        first = sorted(filter(counts.__getitem__, names), key=lambda name: (-counts[name], name))[:most]
        return lock_states(self._server, self._keys, first)

    def _states(self, ids: Sequence[bytes]) -> list[RunState]:
        """Of those that still go on."""
        found = self._runs.states(ids) if ids else []
        return [state for state in found if state and not state.ended_ms]
