"""One Redis server: a connection per thread, scripts by hash, vendor errors translated.

Thin on purpose: a round trip costs more in the client than in the server, so commands are packed once and written
in one piece. A command is sent once; a caller repeats what is safe to repeat.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
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

#: Each thread has a connection, so there may be as many as a process has threads; redis-py 8 stops at 100.
MOST_CONNECTIONS = 10_000

#: Replies that say "not now": the server loads, is a replica, fails over, cannot write its disk, or writes no file now.
_AWAY = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|MISCONF|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|BUSY|UNBLOCKED"
    r"|WAIT(AOF)? cannot be used)\b"
)

#: Those of which the client takes the word away, where it comes first.
_AWAY_BY_KIND = (ReadOnlyError, TryAgainError, ClusterDownError)

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

    ``meanwhile``, where there is one, is called while the server works at what was sent: what has to be done some time
    costs nothing then. It raises nothing, and returns whether it has done something, which is no part of the trip.

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
        self.meanwhile: Callable[[], bool] | None = None

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

    def ahead(self, packed: bytes, replies: int = 1) -> Ahead:
        """Write packed commands and leave their answers for later: the caller goes on while the server works.

        Raises:
            StoreUnavailable: it could not be written.
        """
        connection = self._connection()
        try:
            connection.send_packed_command([packed])
        except BaseException as error:
            self.hang_up(connection)
            if isinstance(error, RedisError | OSError):
                raise self.translated(error) from error
            raise
        pending = self._local.pending = Ahead(self, connection, packed, replies)
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
            if self.meanwhile and self.meanwhile() and trips:
                began_s = trips.begin()
            for _ in range(replies):
                answers.append(_answer(connection))
        except BaseException as error:
            self.hang_up(connection)
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
            self.hang_up(connection)
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
        if isinstance(error, ResponseError) and not (isinstance(error, _AWAY_BY_KIND) or _AWAY.search(text)):
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
            self._local.thread = _Thread(self._pool, connection)
        elif getattr(self._local, "cut", False):
            self._connect_again(connection)
        return connection

    def _connect_again(self, connection: Any) -> None:
        """Left to itself it would go where it was; ``connect`` asks the sentinels where that is now."""
        try:
            connection.connect()
        except (RedisError, OSError) as error:
            raise self.translated(error) from error
        self._local.cut = False

    def hang_up(self, connection: Any) -> None:
        """Cut this thread's connection: nobody knows what would come of it."""
        connection.disconnect()
        self._local.cut = True

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
            "max_connections": MOST_CONNECTIONS,
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


class _Thread:
    """Stands in a thread's own storage; when the thread has ended its connection goes back to the pool.

    Without that a pool would count the connections of threads that are gone, and refuse others from the hundredth on.
    """

    def __init__(self, pool: Any, connection: Any) -> None:
        weakref.finalize(self, _give_back, pool, connection, os.getpid()).atexit = False


def _give_back(pool: Any, connection: Any, pid: int) -> None:
    if pid == os.getpid():  # in a child of a fork it is the parent's
        pool.release(connection)


class Ahead:
    """Answers that are on their way. Whatever else their thread asks of the server receives these first.

    Args:
        server: which was asked.
        connection: where they come.
        packed: what was asked, for a server that forgot its script.
        replies: how many they are.
    """

    def __init__(self, server: Server, connection: Any, packed: bytes, replies: int) -> None:
        self._server = server
        self._connection = connection
        self._packed = packed
        self._many = replies
        self._answers: list[Reply] | BaseException | None = None

    def receive(self) -> None:
        """Take them from the connection; an error is kept for who asks for the answers."""
        if self._answers is not None:
            return
        trips = self._server.trips
        began_s = trips.begin() if trips else 0.0  # what the caller did meanwhile is no part of it
        try:
            self._answers = [_answer(self._connection) for _ in range(self._many)]
            if trips:
                trips.end(began_s)
        except BaseException as error:
            self._answers = error
            self._server.hang_up(self._connection)
            if not isinstance(error, RedisError | OSError):
                raise

    def reply(self) -> Reply:
        """Wait for the answers and return the first.

        Raises:
            StoreUnavailable, StoreFull, StoreUnfit: as ``Server.call``.
        """
        return self.replies()[0]

    def replies(self) -> list[Reply]:
        """Wait for the answers and return them all.

        Raises:
            StoreUnavailable, StoreFull, StoreUnfit: as ``Server.call``.
        """
        self.receive()
        answers = self._answers if isinstance(self._answers, list) else [self._answers]
        for answer in answers:
            if isinstance(answer, NoScriptError):
                return self._server.exchange(self._packed, self._many)
            if isinstance(answer, RedisError | OSError):
                raise self._server.translated(answer) from answer
        return answers


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
