"""How full the store in Redis is: three trips, each command of which costs little however much there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...redis.server import Argument, Server
from ..flow import RunState
from ..keys import Keys
from ..levels import Levels
from .messages import by_state
from .runs import RedisRuns
from .waiting import limit_states

#: How many fields of the counts are read, about: seven states of each queue. HSCAN answers a smaller hash whole.
COUNTED = 5_000


class RedisGauging:
    """One look at all of it."""

    def __init__(self, server: Server, keys: Keys, runs: RedisRuns) -> None:
        self._server = server
        self._keys = keys
        self._runs = runs

    def read(self, duty: str, *, limit: int, runs: int) -> Levels:
        seen = self._first(duty, limit)
        seconds, microseconds = seen["time"]
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        claimed = [lease.decode().partition(" ") for lease in seen["leases"]]
        waiting, ends, records = self._second(seen["paced"], seen["runs"], [id for _, _, id in claimed])
        running = [
            (record[1].decode(), claim)
            for (claim, _, _), record in zip(claimed, records, strict=True)
            if record[0] == b"RUN" and not record[2]
        ]
        going_on = [id for id, (task, end) in zip(seen["runs"], ends, strict=True) if task and not end]
        return Levels(
            now_ms=now_ms,
            counts=by_state(seen["counts"][1]),
            running=running,
            claims=seen["claims"],
            overdue_ms=max(0, now_ms - int(float(seen["due"][1]))) if seen["due"] else 0,
            leader=(seen["leader"] or b"").decode(),
            limits=limit_states(seen["limits"], seen["paced"], waiting),
            limit_keys=seen["limit_keys"],
            runs=self._states(going_on[:runs]),
            batches=seen["batches"] - seen["without_members"],
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
            "runs": ("ZREVRANGE", f"{flow}runs", 0, limit - 1),
            "batches": ("ZCARD", f"{flow}batches"),
            "without_members": ("ZCARD", f"{flow}batches:until"),
        }
        return dict(zip(asked, self._server.pipeline(list(asked.values())), strict=True))

    def _second(self, paced: Sequence[bytes], runs: Sequence[bytes], ids: Sequence[str]) -> tuple[list[Any], ...]:
        """How many wait at each key, which runs have ended, and the records of those who have a claim."""
        keys = self._keys
        asked: list[tuple[Argument, ...]] = [
            *(("ZCARD", keys.rate_wait + key.decode()) for key in paced),
            *(("HMGET", f"{keys.flow}run:{id.decode()}", "task", "ended") for id in runs),
            *(("HMGET", keys.message + id, "st", "queue", "hold") for id in ids),
        ]
        answers = self._server.pipeline(asked) if asked else []
        behind = len(paced) + len(runs)
        return answers[: len(paced)], answers[len(paced) : behind], answers[behind:]

    def _states(self, ids: Sequence[bytes]) -> list[RunState]:
        """Of those that still go on."""
        found = self._runs.states(ids) if ids else []
        return [state for state in found if state and not state.ended_ms]
