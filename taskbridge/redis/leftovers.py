"""What lies in an engine's lists on Redis, for a drain: looked at where it lies, taken by what it is.

A script takes a message off its list and writes it to a shelf in one step, so that an engine's own worker has it or the
drain has it. The shelf is one like a worker's, swept like one when its drain is gone for good. The engine adds how its
lists are read and what its own workers hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..backend import Place
from ..leftovers import DRAIN, Hands, Leftover
from ..store import Store
from ..store.keys import Keys
from .broker import publishing
from .script import Script
from .server import Argument, Server
from .shelf import Layout, Shelf

#: How many messages are looked at in one trip.
PAGE = 200

#: What a message without a priority of ours has in a band: high, normal, low.
PRIORITIES = (8, 5, 2)


class RedisLeftovers:
    """One drain's hand on some queues.

    Args:
        place: the backend's name, and the namespace of our own keys.
        server: the broker.
        layout: how the engine's queues look.
        queues: which.
        owner: a name that nobody else has.
        store: what takes them over.
        visibility_s: after how long without a sign of life what the engine's own workers hold is nobody's. Defaults to
            what the engine says, or to when no worker is seen.
    """

    def __init__(
        self,
        place: Place,
        server: Server,
        layout: Layout,
        queues: Sequence[str],
        owner: str,
        store: Store,
        visibility_s: float | None = None,
    ) -> None:
        self.place = place
        self.server = server
        self.layout = layout
        self.queues = queues
        self.visibility_s = visibility_s
        self.owner = DRAIN + owner
        self._keys = Keys(place.namespace)
        self.shelf = self._keys.shelf(place.name, self.owner)
        self._shelves = Shelf(server, self._keys, place.name, layout)
        self._held = getattr(getattr(store, "server", None), "url", None) == server.url
        self._take = Script(server, layout.package, "take", self.kept, more_keys=1)
        self._last_tag = 0

    @property
    def kept(self) -> list[str]:
        """The first keys of every script that takes: the shelf, and who has one."""
        return [self.shelf, self._keys.owners(self.place.name)]

    def page(self, place: str, behind: int, many: int) -> list[tuple[bytes, bytes]]:
        """Return so many messages of a list, so many behind its front: what each is taken by, and its bytes."""
        raise NotImplementedError

    def read(self, one: Leftover, priority: int) -> None:
        """Fill in what a message says; one of the engine's own has this priority."""
        raise NotImplementedError

    def off_the_shelf(self, lain: bytes) -> tuple[str, bytes, bytes]:
        """Return what lies on a shelf: its list, what it is taken by there, and its bytes."""
        raise NotImplementedError

    def hands(self) -> Hands:
        """Count what the engine's own workers hold."""
        raise NotImplementedError

    def seize(self) -> Iterator[list[Leftover]]:
        """Take what they held and is free."""
        raise NotImplementedError

    def look(self) -> Iterator[list[Leftover]]:
        for queue in self.queues:
            for place in self.places(queue):
                yield from self._look(queue, place)

    def take(self, few: Sequence[Leftover]) -> list[Leftover]:
        taken: list[Leftover] = []
        for place in dict.fromkeys(one.place for one in few):
            here = [one for one in few if one.place == place]
            with publishing(self.server):
                found = self._take(place, self.owner, self.next_tags(len(here)), *(one.key for one in here))
            taken += self.tagged(here, found)
        return taken

    def stranded(self) -> Iterator[list[Leftover]]:
        with publishing(self.server):
            owners = [owner.decode() for owner in self.server.call("ZRANGE", self._keys.owners(self.place.name), 0, -1)]
        for owner in [one for one in owners if one.startswith(DRAIN) and one != self.owner]:
            shelf, cursor, flat = self._keys.shelf(self.place.name, owner), b"0", []
            while True:
                with publishing(self.server):
                    cursor, flat = self.server.call("HSCAN", shelf, cursor, "COUNT", PAGE)
                found = [self._stranded(shelf, tag, lain) for tag, lain in zip(flat[::2], flat[1::2], strict=True)]
                if page := [one for one in found if one.queue in self.queues]:
                    yield page
                if int(cursor) == 0:
                    break
            with publishing(self.server):
                self._shelves.reclaim(owner)  # what is of other queues goes back to them

    def forget(self, few: Sequence[Leftover]) -> None:
        for shelf in {one.shelf for one in few}:
            with publishing(self.server):
                self.server.call("HDEL", shelf, *(one.tag for one in few if one.shelf == shelf))

    def give_back(self, few: Sequence[Leftover]) -> None:
        for shelf in {one.shelf for one in few}:
            tags = sorted((int(one.tag) for one in few if one.shelf == shelf), reverse=True)
            with publishing(self.server):
                Script(self.server, self.layout.package, "give_back", [shelf])(*tags)

    def close(self) -> None:
        with publishing(self.server):
            self._shelves.reclaim(self.owner)

    def places(self, queue: str) -> dict[str, int]:
        """The lists of a queue in the order they are read, each with the priority of native messages in it."""
        bands = zip(self.layout.bands(queue), PRIORITIES, strict=True)
        return {key: priority for keys, priority in bands for key in keys}

    def leftover(self, queue: str, place: str, key: bytes, raw: bytes) -> Leftover:
        """Return a message as it lies in a list."""
        one = Leftover(queue=queue, place=place, key=key, raw=raw)
        self.read(one, self.places(queue)[place])
        return one

    def next_tags(self, many: int) -> int:
        """Return the last tag given before these."""
        last, self._last_tag = self._last_tag, self._last_tag + many
        return last

    def tagged(self, few: Sequence[Leftover], tags: Sequence[int]) -> list[Leftover]:
        """Note on which shelf these lie; a tag of 0 is of one that was not there."""
        for one, tag in zip(few, tags, strict=True):
            if tag:
                one.shelf, one.tag, one.held = self.shelf, str(tag), self._held
        return [one for one in few if one.tag]

    def call(self, *command: Argument) -> Any:
        """Ask the broker."""
        with publishing(self.server):
            return self.server.call(*command)

    def _look(self, queue: str, place: str) -> Iterator[list[Leftover]]:
        """Page by page, as much as lies there now: what is put behind it meanwhile is another look's."""
        with publishing(self.server):
            left = int(self.server.call("LLEN", place))
        behind = 0
        while left > 0:
            with publishing(self.server):
                found = self.page(place, behind, min(PAGE, left))
            if not found:
                return
            yield (page := [self.leftover(queue, place, key, raw) for key, raw in found])
            behind += sum(not one.tag for one in page)
            left -= len(page)

    def _stranded(self, shelf: str, tag: bytes, lain: bytes) -> Leftover:
        place, key, raw = self.off_the_shelf(lain)
        one = Leftover(queue=self.layout.queue_of(place), place=place, key=key, raw=raw)
        self.read(one, self.places(one.queue).get(place, PRIORITIES[1]))
        one.shelf, one.tag, one.held = shelf, tag.decode(), self._held
        return one
