"""One Redis server: a connection per thread, scripts by hash, vendor errors translated.

Thin on purpose: a round trip costs more in the client than in the server, so commands are packed once and written
in one piece. A command is sent once; a caller repeats what is safe to repeat.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from ..errors import ConfigError, StoreFull, StoreUnavailable, StoreUnfit
from . import url as urls

Argument = bytes | str | int | float
Reply = Any

#: How long one answer may take, seconds.
SOCKET_TIMEOUT_S = 5.0

#: A connection that was idle for so long is tried with PING first, seconds.
HEALTH_CHECK_S = 15

#: Replies that say "not now": the server loads, is a replica, fails over, or cannot write its disk.
_AWAY = re.compile(r"\b(LOADING|READONLY|MASTERDOWN|MISCONF|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|BUSY|UNBLOCKED)\b")

#: Stands for an answer that was not received yet.
_ON_ITS_WAY = object()

#: Newer clients tell the server their version, for which each process parses their package's metadata: 1 MB.
_INTRODUCED = {"driver_info": redis.DriverInfo(lib_version=redis.__version__)} if hasattr(redis, "DriverInfo") else {}


class Trips(Protocol):
    """Times round trips for whoever wants to know; what it raises is the caller's."""

    def begin(self) -> float:
        """Something is about to be sent; returns what ``end`` is to be told."""

    def end(self, began_s: float) -> None:
        """All was answered."""


class Server:
    """A Redis server by URL. ``trips``, where there is one, is told of each round trip that was answered.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``sentinel://host1,host2/service/db``.
        socket_timeout_s: how long one answer may take. Defaults to 5 s.

    Raises:
        ConfigError: a URL of another kind.
    """

    def __init__(self, url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        self.url = urls.check(url)
        self.shown = urls.redacted(url)
        self._socket_timeout_s = socket_timeout_s
        self._local = threading.local()
        self._pool = self._new_pool()
        self._pid = os.getpid()
        self._sources: dict[str, None] = {}
        self.trips: Trips | None = None

    def call(self, *command: Argument) -> Reply:
        """Send one command and return its reply.

        Raises:
            StoreUnavailable: no answer, or one that says "not now".
            StoreFull: the server is out of memory.
            StoreUnfit: the server denies the command.
        """
        return self.exchange(pack(command), 1)[0]

    def pipeline(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Send several commands in one trip; the first error reply is raised after all were read."""
        return self.exchange(b"".join(map(pack, commands)), len(commands))

    def exchange(self, packed: bytes, replies: int) -> list[Reply]:
        """Write packed commands, read so many replies; a script the server forgot is loaded and all is sent again."""
        for _ in range(3):
            try:
                return self._exchange(packed, replies)
            except NoScriptError:
                self._exchange(b"".join(pack(("SCRIPT", "LOAD", one)) for one in self._sources), len(self._sources))
        raise StoreUnavailable(f"{self.shown} forgets its scripts as fast as they are loaded")

    def ahead(self, packed: bytes) -> Ahead:
        """Write one packed command and leave its answer for later: the caller goes on while the server works.

        Raises:
            StoreUnavailable: it could not be written.
        """
        connection = self._connection()
        try:
            connection.send_packed_command([packed])
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, RedisError | OSError):
                raise self.translated(error) from error
            raise
        pending = self._local.pending = Ahead(self, connection, packed)
        return pending

    def remember(self, source: str) -> None:
        """Load this script too when the server turns out not to know one."""
        self._sources[source] = None

    def _exchange(self, packed: bytes, replies: int) -> list[Reply]:
        connection, trips = self._connection(), self.trips
        began_s = trips.begin() if trips else 0.0
        answers: list[Reply] = []
        try:
            connection.send_packed_command([packed])
            for _ in range(replies):
                answers.append(_answer(connection))
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, RedisError | OSError):
                raise self.translated(error) from error
            raise
        if trips:
            trips.end(began_s)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise self.translated(answer) from answer
        return answers

    def blocking(self, packed: bytes, timeout_s: float) -> Reply:
        """Write one blocking command; the answer may take ``timeout_s`` longer than usual."""
        connection = self._connection()
        try:
            connection.send_packed_command([packed])
            if not connection.can_read(timeout=timeout_s + self._socket_timeout_s):
                raise TimeoutError(f"no answer within {timeout_s + self._socket_timeout_s} s")
            return connection.read_response()
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, RedisError | OSError):
                raise self.translated(error) from error
            raise

    def ask(self, *command: Argument) -> Reply:
        """Send one command over a connection that no thread keeps, and return its reply.

        Raises:
            As ``call``.
        """
        self._renew_after_fork()
        try:
            connection = self._pool.get_connection()
        except (RedisError, OSError) as error:
            raise self.translated(error) from error
        try:
            connection.send_packed_command([pack(command)])
            return connection.read_response()
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, RedisError | OSError):
                raise self.translated(error) from error
            raise
        finally:
            self._pool.release(connection)

    def connect(self, **changes: Any) -> Any:
        """Return a connection of the caller's own, outside the pool; the caller closes it."""
        pool = self._new_pool(**changes)
        connection = pool.get_connection()
        connection.connect()
        return connection

    def translated(self, error: BaseException) -> Exception:
        """Return our error for the client's."""
        text = str(error).partition(" : <redis.")[0]
        if isinstance(error, NoScriptError):
            return error
        if "OOM" in text[:40] or "used memory > 'maxmemory'" in text:
            return StoreFull(f"{self.shown} has no memory left for new work: raise its maxmemory, or let workers drain")
        if isinstance(error, AuthenticationError | NoPermissionError):
            return StoreUnfit(f"{self.shown} denies access: {text}; see the ACL in docs/store.md")
        if isinstance(error, ResponseError) and not _AWAY.search(text):
            return StoreUnfit(f"{self.shown} refuses a command: {text}")
        return StoreUnavailable(f"{self.shown} is away: {text or type(error).__name__}")

    def close(self) -> None:
        """Drop this thread's connection and the pool."""
        if self._pid == os.getpid():
            self._pool.disconnect()
        self._local = threading.local()

    def _connection(self) -> Any:
        self._renew_after_fork()
        connection, pending = getattr(self._local, "connection", None), getattr(self._local, "pending", None)
        if pending is not None:
            self._local.pending = None
            pending.receive()
        if connection is None:
            try:
                connection = self._local.connection = self._pool.get_connection()
            except (RedisError, OSError) as error:
                raise self.translated(error) from error
        return connection

    def _renew_after_fork(self) -> None:
        if self._pid != os.getpid():  # its sockets are the parent's
            self._local, self._pool, self._pid = threading.local(), self._new_pool(), os.getpid()

    def _new_pool(self, **changes: Any) -> Any:
        options = {
            "socket_timeout": self._socket_timeout_s,
            "socket_connect_timeout": self._socket_timeout_s,
            "socket_keepalive": True,
            "health_check_interval": HEALTH_CHECK_S,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            **_INTRODUCED,
        } | changes
        if self.url.startswith("sentinel://"):
            hosts, service, more = urls.sentinel(self.url)
            sentinel = Sentinel(hosts, socket_timeout=self._socket_timeout_s)
            return sentinel.master_for(service, **(options | more)).connection_pool
        if self.url.startswith("unix://"):
            options.pop("socket_keepalive")
        try:
            pool = redis.ConnectionPool.from_url(self.url, **options)
            pool.connection_class(**pool.connection_kwargs)  # refuses an option of the URL that it does not know
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self.shown}: {error}") from None
        return pool


class Ahead:
    """An answer that is on its way. Whatever else its thread asks of the server receives this one first.

    Args:
        server: which was asked.
        connection: where it comes.
        packed: what was asked, for a server that forgot its script.
    """

    def __init__(self, server: Server, connection: Any, packed: bytes) -> None:
        self._server = server
        self._connection = connection
        self._packed = packed
        self._answer: Reply | BaseException = _ON_ITS_WAY

    def receive(self) -> None:
        """Take it from the connection; an error is kept for who asks for the answer."""
        if self._answer is not _ON_ITS_WAY:
            return
        trips = self._server.trips
        began_s = trips.begin() if trips else 0.0  # what the caller did meanwhile is no part of it
        try:
            self._answer = _answer(self._connection)
            if trips:
                trips.end(began_s)
        except BaseException as error:
            self._answer = error
            self._connection.disconnect()
            if not isinstance(error, RedisError | OSError):
                raise

    def reply(self) -> Reply:
        """Wait for it and return it.

        Raises:
            StoreUnavailable, StoreFull, StoreUnfit: as ``Server.call``.
        """
        self.receive()
        if isinstance(self._answer, NoScriptError):
            return self._server.exchange(self._packed, 1)[0]
        if isinstance(self._answer, RedisError | OSError):
            raise self._server.translated(self._answer) from self._answer
        return self._answer


def pack(command: Sequence[Argument]) -> bytes:
    """Return a command as the server reads it.

    Source: redis.io, "Redis serialization protocol specification", arrays of bulk strings.
    """
    parts = [b"*%d\r\n" % len(command)]
    parts += map(bulk, command)
    return b"".join(parts)


def bulk(value: Argument) -> bytes:
    """Return one word of a command as the server reads it."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def _answer(connection: Any) -> Reply:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
