"""A real RabbitMQ for tests: a node of our own from the path, or else what listens on 5672.

A node has a port, a name, a folder and a name server (epmd) of its own, so it meets no other node of the machine. Both
processes are killed with the tests. Debian's command changes to another user; the one behind it does not.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import amqp

from .servers import HOST, Process, certify, free_port, leashed, missing

#: Where the commands of the version that is to be tried are; else where Debian keeps those that change no user.
BEHIND = os.environ.get("RABBITMQ_COMMANDS", "/usr/lib/rabbitmq/bin")

#: What listens there is used where no node of our own can be started.
SERVICE = f"amqp://guest:guest@{HOST}:5672/"

#: How long the management command may take, seconds: each starts a virtual machine.
CONTROL_S = 180


class SomeRabbit(Protocol):
    """A RabbitMQ that is there."""

    def url(self, **options: object) -> str:
        """The URL as a user would write it."""


class Service:
    """What listens on 5672."""

    def url(self, **options: object) -> str:
        return SERVICE + _query(options)


class RabbitServer(Process):
    """A node that has its queues over a restart.

    Args:
        binary: ``rabbitmq-server``. Defaults to the first of the path, or the one behind it.
        tls: speaks TLS on a port of its own, too, with a certificate that it signed itself.
        settings: further lines of its configuration.
    """

    #: A node loads four hundred modules first: 6 s alone on two cores, up to twenty times as long on a busy machine.
    start_s = 240.0

    def __init__(
        self, binary: str | None = None, *, tls: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(binary or _binary("rabbitmq-server") or missing("rabbitmq-server"))
        self._names = free_port()
        self._talk = free_port()
        self._calls = count()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._certificate = certify(self.directory) if tls else None
        self._tls_port = free_port() if tls else 0
        self._settings = dict(settings or {})

    def start(self) -> None:
        """Start it, or start it again on the same ports and folder; returns when it answers."""
        if self._epmd is None:
            command = [shutil.which("epmd") or missing("epmd"), "-port", str(self._names), "-address", HOST]
            self._epmd = leashed(command, self.directory / "epmd.log")
        super().start()

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
        super().__exit__()

    def config(self) -> list[str]:
        lines = {"listeners.tcp.1": f"{HOST}:{self.port}", "log.console.level": "info", **self._settings}
        if self._certificate:
            lines |= {
                "listeners.ssl.1": f"{HOST}:{self._tls_port}",
                "ssl_options.certfile": str(self._certificate),
                "ssl_options.keyfile": str(self._certificate.with_name("key.pem")),
                "ssl_options.verify": "verify_none",
            }
        return [f"{name} = {value}" for name, value in lines.items()]

    def command(self, config: Path) -> list[str]:
        return [self._binary]

    def environment(self) -> Mapping[str, str]:
        """Nothing of the machine's own node: another name, other ports, other files. Its threads do not spin."""
        folder = self.directory
        plugins = folder / "plugins"
        plugins.write_text("[].")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._names),
            "RUNNING_UNDER_SYSTEMD": "true",  # its script becomes the node and is not its parent
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"taskbridge{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._talk),
            "RABBITMQ_CONFIG_FILE": str(folder / "server.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }

    def answers(self) -> bool:
        with connected(self.url()):
            return True

    def url(self, vhost: str = "", **options: object) -> str:
        return f"amqp://guest:guest@{HOST}:{self.port}/{vhost}{_query(options)}"

    def new_vhost(self, name: str) -> str:
        """Make a virtual host of this name; returns its URL."""
        permissions = f'set_permissions(<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)'
        made = self.evaluate(
            f'ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:{permissions}'
        )
        assert "ok" == made, made
        return self.url(name)

    def tls_url(self, **options: object) -> str:
        """The URL of its port with TLS, its certificate named."""
        return f"amqps://guest:guest@{HOST}:{self._tls_port}/{_query({'ssl_ca_certs': self._certificate} | options)}"

    def evaluate(self, code: str) -> str:
        """Have the node evaluate Erlang; returns what comes of it, as Erlang writes it.

        The management command starts a virtual machine each time, which takes a second of a processor.
        """
        program = _erl_call()
        if program is None:
            return self.control("eval", f"{code}.").strip()
        cookie = (self.directory / ".erlang.cookie").read_text().strip()
        ran = subprocess.run(
            [program, "-h", f"call{next(self._calls)}", "-c", cookie, "-address", f"{HOST}:{self._talk}", "-e"],
            input=f"{code}.\n",
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=CONTROL_S,
            check=False,
        )
        said = ran.stdout.strip()
        assert said.startswith("{ok, "), f"{code} ended with {ran.returncode}: {said}{ran.stderr}"
        return said.removeprefix("{ok, ").removesuffix("}")

    def control(self, *words: str) -> str:
        """Have the management command do something; returns what it says."""
        program = _binary("rabbitmqctl") or missing("rabbitmqctl")
        ran = subprocess.run(
            [program, "--quiet", *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=CONTROL_S,
            check=False,
        )
        assert not ran.returncode, f"rabbitmqctl {words} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def said(self) -> str:
        """Its log."""
        return (self.directory / "log").read_text(errors="replace")

    def impatient(self, timeout_ms: int) -> None:
        """Wait no longer than so for an acknowledgement, on channels that are opened from now on."""
        settings = {"channel_tick_interval": 500, "consumer_timeout": timeout_ms}
        self.evaluate(", ".join(f"application:set_env(rabbit, {name}, {ms})" for name, ms in settings.items()))

    @contextmanager
    def short_of_memory(self) -> Iterator[None]:
        """Take no messages meanwhile: what it has is more than it may have."""
        self.control("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.4")

    def close_connections(self) -> None:
        """Close all connections of its clients, as an operator would."""
        self.control("close_all_connections", "closed by a test")


@contextmanager
def some_rabbit() -> Iterator[SomeRabbit]:
    """Yield a node of our own, or what listens on 5672; without either the test is skipped, in CI it fails."""
    if _binary("rabbitmq-server") and shutil.which("epmd"):
        with RabbitServer(tls=True) as server:
            yield server
        return
    try:
        with connected(SERVICE):
            found = Service()
    except (OSError, amqp.AMQPError):
        missing("rabbitmq-server on the path, or RabbitMQ on port 5672,")
    yield found


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Yield a channel of a client that knows nothing of us."""
    parts = urlsplit(url)
    vhost = parts.path[1:] or "/"
    bounds = {"connect_timeout": 20, "read_timeout": 30, "write_timeout": 30}
    connection = amqp.Connection(f"{HOST}:{parts.port}", virtual_host=vhost, **bounds)
    connection.connect()
    try:
        yield connection.channel()
    finally:
        connection.collect()


def _binary(name: str) -> str | None:
    return shutil.which(name, path=f"{BEHIND}:{os.environ['PATH']}")


def _erl_call() -> str | None:
    """The program that calls a node; it lies with the virtual machine, and not on the path."""
    found = shutil.which("erl")
    machines = sorted(Path(found).resolve().parents[1].glob("erts-*/bin/erl_call")) if found else []
    return shutil.which("erl_call") or (str(machines[-1]) if machines else None)


def _query(options: Mapping[str, object]) -> str:
    words = "&".join(f"{name}={quote(str(value), safe='/')}" for name, value in options.items())
    return f"?{words}" if words else ""


def main() -> None:
    """Be a node for whoever started this process: say its URL, and keep it until it is told to end."""
    binary = _binary("rabbitmq-server")
    if not binary or not shutil.which("epmd"):
        sys.exit("expected rabbitmq-server and epmd on the path")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with RabbitServer(binary) as server:
        print(server.url(), flush=True)
        sys.stdin.read()  # whoever started us is gone when it closes


if __name__ == "__main__":
    main()
