"""What lies in Dramatiq's lists on Redis, its delayed ones included, and what its own workers hold.

A worker says that it lives with all it does; what one holds that was silent for a minute is given back by others.
Source: dramatiq 2.2 brokers/redis.py (``heartbeat_timeout``) and brokers/redis/dispatch.lua.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from taskbridge.errors import DecodeError
from taskbridge.leftovers import Hands, Leftover, reason
from taskbridge.redis.leftovers import PAGE, PRIORITIES, RedisLeftovers
from taskbridge.redis.script import Script

from . import wire

#: Prefix of every key of Dramatiq's Redis broker. Source: dramatiq/brokers/redis.py, ``namespace``.
NAMESPACE = "dramatiq"

#: After how long of silence a worker is gone, unless told otherwise, seconds. Source: dramatiq/brokers/redis.py.
SILENCE_S = 60.0

HEARTBEATS = f"{NAMESPACE}:__heartbeats__"


class Hold(msgspec.Struct, frozen=True):
    """What a worker holds of one list."""

    broker: str
    heard_ms: int
    place: str
    many: int

    @property
    def acks(self) -> str:
        """The set of what it holds."""
        return f"{NAMESPACE}:__acks__.{self.broker}.{self.place.removeprefix(f'{NAMESPACE}:')}"


class DramatiqLeftovers(RedisLeftovers):
    """Dramatiq's lists."""

    def page(self, place: str, behind: int, many: int) -> list[tuple[bytes, bytes]]:
        ids = self.server.call("LRANGE", place, behind, behind + many - 1)
        raws = self.server.call("HMGET", f"{place}.msgs", *ids) if ids else []
        return [(id, raw or b"") for id, raw in zip(ids, raws, strict=True)]

    def read(self, one: Leftover, priority: int) -> None:
        if not one.raw:
            one.problem, one.native = "an id without a message: a worker has it", True
            return
        try:
            message, envelope = wire.decode(one.raw, one.queue)
        except DecodeError as error:
            one.task, one.problem, one.native = wire.task_of(one.raw), reason(str(error)), True
        else:
            wire.describe(one, message, envelope, priority)

    def places(self, queue: str) -> dict[str, int]:
        """The delayed ones are read last, and are of the normal band."""
        found = super().places(queue)
        return {place: PRIORITIES[1] if place.endswith(wire.DELAYED) else found[place] for place in found}

    def off_the_shelf(self, lain: bytes) -> tuple[str, bytes, bytes]:
        place, key, raw = lain.split(b"\n", 2)
        return place.decode(), key, raw

    def hands(self) -> Hands:
        holds, until_ms = self._holds(), self._until_ms()
        live = {one.broker for one in holds if one.heard_ms > until_ms}
        free = sum(one.many for one in holds if one.heard_ms <= until_ms)
        return Hands(held=sum(one.many for one in holds), free=free, workers=len(live))

    def seize(self) -> Iterator[list[Leftover]]:
        until_ms = self._until_ms()
        for hold in [one for one in self._holds() if one.heard_ms <= until_ms]:
            ids = list(self.call("SMEMBERS", hold.acks))
            for start in range(0, len(ids), PAGE):
                yield self._seized(hold, ids[start : start + PAGE])

    def _seized(self, hold: Hold, ids: list[bytes]) -> list[Leftover]:
        messages = f"{hold.place}.msgs"
        script = Script(self.server, self.layout.package, "seize", [*self.kept, HEARTBEATS, hold.acks, messages])
        raws = self.call("HMGET", messages, *ids)
        found = script(self.owner, self.next_tags(len(ids)), hold.broker, hold.heard_ms, hold.place, *ids)
        queue = self.layout.queue_of(hold.place)
        shown = [self.leftover(queue, hold.place, id, raw or b"") for id, raw in zip(ids, raws, strict=True)]
        return self.tagged(shown, found)

    def _until_ms(self) -> int:
        seconds, microseconds = self.call("TIME")
        silence_s = SILENCE_S if self.visibility_s is None else self.visibility_s
        return int(seconds) * 1000 + int(microseconds) // 1000 - round(silence_s * 1000)

    def _holds(self) -> list[Hold]:
        """Who holds something of these queues."""
        flat = self.call("ZRANGE", HEARTBEATS, 0, -1, "WITHSCORES")
        asked = [
            Hold(broker.decode(), int(float(heard)), place, 0)
            for broker, heard in zip(flat[::2], flat[1::2], strict=True)
            for queue in self.queues
            for place in self.places(queue)
        ]
        many = self.server.pipeline([("SCARD", one.acks) for one in asked]) if asked else []
        return [msgspec.structs.replace(one, many=count) for one, count in zip(asked, many, strict=True) if count]
