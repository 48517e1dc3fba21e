"""What lies in Celery's lists on Redis, and what its own workers hold: kombu's ``unacked``.

A worker takes messages with an ETA at once and keeps them in memory, unacknowledged, until they are due. That one lives
is told by who listens for remote control, and by who waits at a list; one that does neither cannot be seen.
Source: kombu 5.7 transport/redis.py, ``Channel`` (``unacked_key``, ``_put``), and kombu/pidbox.py.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec

from taskbridge.backend import VISIBILITY_MS
from taskbridge.errors import DecodeError, StoreUnfit
from taskbridge.leftovers import Hands, Leftover, reason
from taskbridge.redis.leftovers import PAGE, RedisLeftovers
from taskbridge.redis.script import Script

from . import wire

#: Kombu's own keys; under taskbridge's settings Celery's command has others (``settings.py``).
UNACKED = "unacked"

#: A steps' list of kombu's: a message lies in that of the highest step that its priority reaches.
STEPS = (9, 6, 3)


class Hold(msgspec.Struct, frozen=True):
    """One message in a worker's hand: kombu's tag, since when (unix s, as Redis writes it), where it came from."""

    tag: bytes
    since: bytes
    place: str
    raw: bytes


class CeleryLeftovers(RedisLeftovers):
    """Celery's lists. Without ``visibility_s`` nothing is taken from a worker while one is seen."""

    @cached_property
    def _bindings(self) -> dict[str, dict[str, str]]:
        """Queues by exchange and key, as far as they were asked for."""
        return {}

    def page(self, place: str, behind: int, many: int) -> list[tuple[bytes, bytes]]:
        found = self.server.call("LRANGE", place, -behind - many, -behind - 1)
        return [(raw, raw) for raw in reversed(found)]

    def read(self, one: Leftover, priority: int) -> None:
        try:
            message, envelope = wire.decode(one.raw, one.queue)
        except DecodeError as error:
            one.task, one.problem, one.native = wire.task_of(one.raw), reason(str(error)), True
        else:
            wire.describe(one, message, envelope, priority)

    def off_the_shelf(self, lain: bytes) -> tuple[str, bytes, bytes]:
        place, _, raw = lain.partition(b"\n")
        return place.decode(), raw, raw

    def hands(self) -> Hands:
        workers = self._workers()
        held, hidden = self._held_now()
        free = sum(len(list(self._free(holds, key, workers))) for key, holds in held.items())
        return Hands(held=sum(map(len, held.values())), free=free, workers=workers, hidden=hidden)

    def seize(self) -> Iterator[list[Leftover]]:
        workers = self._workers()
        for key, holds in self._held_now()[0].items():
            free = list(self._free(holds, key, workers))
            script = Script(self.server, self.layout.package, "seize", [*self.kept, key, f"{key}_index"])
            for start in range(0, len(free), PAGE):
                few = free[start : start + PAGE]
                words = [word for one in few for word in (one.tag, one.since, one.place, one.raw)]
                found = script(self.owner, self.next_tags(len(few)), *words)
                queue_of = self.layout.queue_of
                shown = [self.leftover(queue_of(one.place), one.place, one.raw, one.raw) for one in few]
                yield self.tagged(shown, found)

    def _held_now(self) -> tuple[dict[str, list[Hold]], str]:
        """What is held, by the hash it lies in, and why one of them cannot be seen."""
        held, hidden = {}, ""
        for key in (UNACKED, f"{{{self.place.namespace}}}:celery:{UNACKED}"):
            try:
                held[key] = list(self._holds(key))
            except StoreUnfit as error:
                hidden = str(error)
        return held, hidden

    def _free(self, holds: list[Hold], key: str, workers: int | None) -> Iterator[Hold]:
        """Those that no worker holds any more: none lives, or one would have acknowledged or taken it again by now."""
        if workers == 0:
            yield from holds
            return
        visibility_s = self.visibility_s if key == UNACKED else VISIBILITY_MS / 1000
        if visibility_s is None:
            return
        seconds, microseconds = self.call("TIME")
        until_s = int(seconds) + int(microseconds) / 1e6 - visibility_s
        yield from (one for one in holds if float(one.since) < until_s)

    def _holds(self, key: str) -> Iterator[Hold]:
        """What is held of our queues; a page at a time is read of a hash that may be large."""
        cursor = b"0"
        while True:
            cursor, flat = self.call("HSCAN", key, cursor, "COUNT", PAGE)
            tags = flat[::2]
            since = self.call("ZMSCORE", f"{key}_index", *tags) if tags else []
            for tag, value, at in zip(tags, flat[1::2], since, strict=True):
                place, raw = self._held_of(value)
                if at is not None and place:
                    yield Hold(tag, at, place, raw)
            if int(cursor) == 0:
                return

    def _held_of(self, value: bytes) -> tuple[str, bytes]:
        """The list that a message came from, if it is one of our queues', and the message."""
        try:
            payload, exchange, key = msgspec.json.decode(value)
            priority = int(payload["properties"].get("priority") or 0)
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError):
            return "", b""
        step = next((f"\x06\x16{step}" for step in STEPS if priority >= step), "")
        place = f"{self._bound(exchange, key)}{step}"
        mine = any(place in self.places(queue) for queue in self.queues)
        return (place, msgspec.json.encode(payload)) if mine else ("", b"")

    def _bound(self, exchange: str, key: str) -> str:
        """The queue that kombu binds to an exchange by this key; without an exchange it is the key itself."""
        if exchange not in self._bindings:
            members = self.call("SMEMBERS", f"_kombu.binding.{exchange}") if exchange else []
            words = [member.decode().split("\x06\x16") for member in members]
            self._bindings[exchange] = {found[0]: found[-1] for found in words}
        return self._bindings[exchange].get(key, key)

    def _workers(self) -> int | None:
        """How many of Celery's workers can be seen; None where the server does not say."""
        try:
            database = re.search(rb"\bdb=(\d+)", self.call("CLIENT", "INFO"))
            number = database[1].decode() if database else "0"
            waiting = re.findall(rb"\bdb=%s .*\bcmd=brpop\b" % number.encode(), self.call("CLIENT", "LIST"))
            listening = int(self.call("PUBLISH", f"/{number}.celery.pidbox", _nothing()))
        except StoreUnfit:
            return None
        return max(len(waiting), listening)


def _nothing() -> bytes:
    """A word of remote control that is for nobody: whoever listens reads it and does nothing."""
    body: dict[str, Any] = {"method": "ping", "arguments": {}, "destination": ["nobody"]}
    properties = {
        "delivery_mode": 2,
        "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "taskbridge",
    }
    return msgspec.json.encode(
        {
            "body": base64.b64encode(msgspec.json.encode(body)).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 0},
            "properties": properties,
        }
    )
