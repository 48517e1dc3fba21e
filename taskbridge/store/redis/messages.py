"""Looking at records in Redis, without touching them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ...redis.server import Server
from .. import Record
from ..keys import Keys
from ..trail import past_of, trail_of

_FIELDS = (
    *("st", "seq", "attempt", "starts", "crashes", "claim", "queue"),
    *("why", "tb", "group", "body", "begun", "locks", "at", "part", "due"),
)

#: What is read of one that is looked at, and told of no other.
_PAST = ("trail", "was", "of", "of2", "last", "to", "sent")

#: The same, with a field that no record has in the place of what may be long.
_WITHOUT_TRACEBACK = tuple("" if field == "tb" else field for field in _FIELDS)

#: How the line of a record's part begins that names a batch; see flow.lua.
MEMBER = "in batch:"


class RedisMessages:
    """One message, how many there are, and what runs."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    def look(self, id: str) -> Record | None:
        keys = self._keys
        fields, due, dead, parked, past = self._server.pipeline(
            [
                ("HMGET", keys.message + id, *_FIELDS),
                ("ZSCORE", keys.due, id),
                ("ZSCORE", keys.dead, id),
                ("ZSCORE", keys.parked, id),
                ("HMGET", keys.message + id, *_PAST),
            ]
        )
        if fields[0] is None:
            return None
        at = due or dead or parked
        if fields[0] == b"RUN":
            at = self._server.call("ZSCORE", keys.leases, f"{(fields[5] or b'').decode()} {id}")
        elif fields[0] == b"HELD":
            at = fields[-1]
        trail, was, of, of2, *others = (word or b"" for word in past)
        words = (trail, was, of + of2, *others)  # a letter may be cut in two
        trail, was, of, last, to, sent = (word.decode(errors="replace") for word in words)
        return replace(
            _record(id, fields, at or 0),
            trail=trail_of(trail),
            past=past_of(was, of, last),
            sent_to=to,
            sent_ms=int(sent or 0),
        )

    def counts(self) -> dict[tuple[str, str], int]:
        return by_state(self._server.call("HGETALL", self._keys.counts))

    def running(self) -> list[Record]:
        flat = self._server.call("ZRANGE", self._keys.leases, 0, -1, "WITHSCORES")
        for i in range(0, len(flat), 2):
            flat[i] = flat[i].partition(b" ")[2]
        found = read_records(self._server, self._keys, flat)
        # others have ended between the two looks, and code that holds has no body
        return [record for record in found if record.state == "RUN" and record.body]


def by_state(flat: Sequence[bytes]) -> dict[tuple[str, str], int]:
    """Return counts by queue and state, of {"queue state", count, ...} as a hash answers."""
    pairs = {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}
    return {(field.rpartition(" ")[0], field.rpartition(" ")[2]): n for field, n in pairs.items()}


def read_records(server: Server, keys: Keys, flat: Sequence[bytes], *, traceback: bool = True) -> list[Record]:
    """Return the records of {id, instant, ...} as a sorted set answers; those gone meanwhile are left out."""
    ids = [id.decode() for id in flat[::2]]
    if not ids:
        return []
    fields_read = _FIELDS if traceback else _WITHOUT_TRACEBACK
    answers = server.pipeline([("HMGET", keys.message + id, *fields_read) for id in ids])
    found = zip(ids, answers, flat[1::2], strict=True)
    return [_record(id, fields, at) for id, fields, at in found if fields[0] is not None]


def _record(id: str, fields: Sequence[Any], at: bytes | int) -> Record:
    state, seq, attempt, starts, crashes, claim, queue, why, traceback, group, body, begun, locks, at_limit, part = (
        field or b"" for field in fields[:-1]
    )
    return Record(
        id=id,
        state=state.decode(),
        seq=int(seq or 1),
        attempt=int(attempt or 1),
        starts=int(starts or 0),
        crashes=int(crashes or 0),
        claim=claim.decode(),
        queue=queue.decode(),
        why=why.decode(errors="replace"),
        traceback=traceback.decode(errors="replace"),
        group=group.decode(),
        body=bytes(body),
        begun_ms=int(begun or 0),
        at_ms=int(float(at)),
        waits_at=_waits_at(state, locks.decode(), at_limit.decode()),
        batches=tuple(line[len(MEMBER) :] for line in part.decode().split("\n") if line.startswith(MEMBER)),
    )


def _waits_at(state: bytes, locks: str, limit: str) -> str:
    if state == b"LOCKED":
        return ", ".join(line.split(" ", 2)[2] for line in locks.split("\n"))
    return limit if state in (b"THROTTLED", b"PAUSED") else ""
