"""Tell a server something, and come back when a replica has it, or its disk.

WAIT and WAITAOF wait for what their own connection has written, so they travel behind it in one trip: on a connection
that was made anew meanwhile, perhaps to another primary, they would wait for nothing and say that all is well.
Source: redis.io, "WAIT" and "WAITAOF"; tried on Redis 6.2.14, 7.0.15 and 7.4.1 and on Valkey 9.1.2: from 7.2 on what
others have written does not count, before that it does.
"""

from __future__ import annotations

from ..errors import StoreUnconfirmed
from ..store_wait import StoreWait
from .script import Script
from .server import Ahead, Argument, Reply, Server, pack

#: What a script and WAIT add to the answers of a trip.
MORE = 2


class Confirming:
    """One server, and what is waited for there.

    Args:
        server: the store's.
        wait: what for; None for nothing, and then a trip is as it always was.
        key: what is written for it.
    """

    def __init__(self, server: Server, wait: StoreWait | None, key: str) -> None:
        self.waits = wait is not None
        self._server = server
        self._behind = b""
        self._late = ""
        if wait is not None:
            command: tuple[Argument, ...] = ("WAIT", 1) if wait.kind == "replica" else ("WAITAOF", 1, 0)
            self._behind = Script(server, "taskbridge.redis", "confirm", [key]).packed()
            self._behind += pack((*command, wait.timeout_ms))
            who = "no replica has confirmed" if wait.kind == "replica" else "its append-only file was not on disk"
            what = f"{who} within {wait.timeout_ms / 1000:g} s, and store_wait is {wait.kind!r}"
            self._late = f"{server.shown}: {what}: what was told is not acknowledged before that"

    def ask(self, packed: bytes, replies: int) -> tuple[list[Reply], StoreUnconfirmed | None]:
        """Write packed commands, read so many replies; and what is to be raised where they were not confirmed in time.

        Raises:
            StoreUnavailable, StoreFull, StoreUnfit: as ``Server.call``.
        """
        if not self.waits:
            return self._server.exchange(packed, replies), None
        return self._judged(self._server.exchange(packed + self._behind, replies + MORE))

    def exchange(self, packed: bytes, replies: int) -> list[Reply]:
        """Write packed commands, read so many replies.

        Raises:
            StoreUnconfirmed: they were not confirmed in time; they are done all the same.
            StoreUnavailable, StoreFull, StoreUnfit: as ``Server.call``.
        """
        answers, late = self.ask(packed, replies)
        if late:
            raise late
        return answers

    def run(self, script: Script, *words: Argument) -> Reply:
        """Run a script and return its reply.

        Raises:
            As ``exchange``.
        """
        return self.exchange(script.packed(*words), 1)[0]

    def ahead(self, script: Script, *words: Argument) -> Ahead:
        """Ask for a script to be run and go on meanwhile; ``reply`` takes the answer.

        Raises:
            StoreUnavailable: as ``Server.ahead``.
        """
        packed = script.packed(*words)
        return self._server.ahead(packed + self._behind, 1 + MORE) if self.waits else self._server.ahead(packed)

    def reply(self, asked: Ahead) -> Reply:
        """Wait for the answer to what was asked ahead.

        Raises:
            As ``exchange``.
        """
        if not self.waits:
            return asked.reply()
        answers, late = self._judged(asked.replies())
        if late:
            raise late
        return answers[0]

    def _judged(self, answers: list[Reply]) -> tuple[list[Reply], StoreUnconfirmed | None]:
        *answers, _, confirmed = answers
        many = confirmed if isinstance(confirmed, int) else confirmed[0]  # WAITAOF counts here, then elsewhere
        return answers, None if many >= 1 else StoreUnconfirmed(self._late)
