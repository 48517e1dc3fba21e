"""``taskbridge dashboard``: what stands in store and brokers, in a browser."""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from ..clock import seconds_of
from ..config import load_log_format
from ..errors import ConfigError
from .common import address, on_a_bridge, opened, stop_signals, with_a_log
from .screen import say

if TYPE_CHECKING:
    from ..observe.exposition import Address

EXAMPLES = """\b
Examples:
  taskbridge dashboard                            # read-only, at http://127.0.0.1:8090/
  taskbridge dashboard --token auto               # one that acts, made and shown once
  taskbridge dashboard --token-file /run/secrets/dashboard --module app.tasks
  taskbridge dashboard --bind :8090 --token-file token --allowed-host tasks.example.com
"""

#: Where it listens unless it is told.
BIND = "127.0.0.1:8090"

#: What tokens are in, where no file is named: what is on a command line, everybody on the machine can see.
TOKEN, READ_TOKEN = "TASKBRIDGE_DASHBOARD_TOKEN", "TASKBRIDGE_DASHBOARD_READ_TOKEN"

#: How often to look whether a signal came, seconds.
TICK_S = 0.1

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(epilog=EXAMPLES)
@click.option(
    "--bind", default=BIND, show_default=True, metavar="[HOST]:PORT", callback=address, help="Where to listen."
)
@click.option("--token-file", type=FILE, help=f"Whose first line lets one change things. Defaults to {TOKEN}.")
@click.option("--token", type=click.Choice(["auto"]), help="Make a token, for this run alone, and show it once.")
@click.option("--read-token-file", type=FILE, help=f"Whose first line lets one read. Defaults to {READ_TOKEN}.")
@click.option("--allow-anonymous-reading", is_flag=True, help="Beyond loopback, too, show pages without a token.")
@click.option("--allowed-host", multiple=True, metavar="NAME", help="A name it is asked by; .example.com is all below.")
@click.option("--session", default="12h", show_default=True, metavar="SPAN", help="How long one stays signed in.")
@click.option("--refresh", default="5s", show_default=True, metavar="SPAN", help="How often what is shown is read.")
@click.option("--url-prefix", default="", metavar="PATH", help="What its URLs begin with, behind a proxy: /tasks.")
@click.option("--trusted-proxy", default="", metavar="ADDRESS", help="Believe this proxy's X-Forwarded headers.")
@click.option("--title", default="taskbridge", show_default=True, help="What pages are headed with.")
@on_a_bridge
@with_a_log
def dashboard(
    bind: Address,
    token_file: Path | None,
    token: str | None,
    read_token_file: Path | None,
    allow_anonymous_reading: bool,
    allowed_host: tuple[str, ...],
    session: str,
    refresh: str,
    url_prefix: str,
    trusted_proxy: str,
    title: str,
    module: str | None,
    chdir: str,
    log_level: str,
    log_format: str | None,
) -> None:
    """Show what stands in the store and at the brokers, in a browser, until Ctrl-C or SIGTERM.

    Without a token nobody can change anything. It listens at loopback unless --bind says otherwise; beyond loopback
    reading needs a token, too. No token is ever part of a command line. --module adds what tasks of your code say.
    """
    from ..observe.logs import set_up_logs

    _check_installed()
    from ..dashboard import Dashboard
    from ..dashboard.guard import LOOPBACK
    from ..dashboard.serving import Serving

    set_up_logs(log_level, log_format or load_log_format(here=Path(chdir)))
    acts, reads = _acting(token, token_file), _token(read_token_file, READ_TOKEN)
    anonymous = _anonymous(bind, acts or reads, reads, allow_anonymous_reading)
    with opened([module], chdir) as bridge, stop_signals() as stops:
        application = Dashboard(
            bridge,
            token=acts,
            read_token=reads,
            anonymous_reading=anonymous,
            title=title,
            allowed_hosts=(*LOOPBACK, *_named(bind), *allowed_host),
            session=seconds_of(session, "session"),
            refresh=seconds_of(refresh, "refresh"),
        )
        served = Serving(application, bind, prefix=url_prefix, proxy=trusted_proxy)
        application.keep()
        say(f"the dashboard is at {served.url}", error=True)
        if token:
            say(f"token: {acts}", error=True)
        _wait(stops)
        served.close()
        application.close()


def _wait(stops: list[int]) -> None:
    pause = Event()
    while not stops:
        pause.wait(TICK_S)


def _acting(made: str | None, file: Path | None) -> str:
    """Return the token that lets one change things: one that is made, else that of a file or a variable."""
    if made and file:
        raise click.UsageError("expected --token-file or --token auto, and not both")
    return secrets.token_urlsafe(32) if made else _token(file, TOKEN)


def _token(file: Path | None, variable: str) -> str:
    """Return a token, from its file or its variable; empty where there is none."""
    if file is None:
        return os.environ.get(variable, "").strip()
    try:
        first = file.read_text("utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r}: expected a file with a token, and it cannot be read: {error}") from None
    if not first:
        raise ConfigError(f"{str(file)!r}: expected a token in its first line, and it is empty")
    return first


def _anonymous(bind: Address, some: str, reads: str, allowed: bool) -> bool:
    """Return whether pages are shown without a token.

    Raises:
        ConfigError: everybody in the network could read, and nobody has said that they may.
    """
    if allowed or (_is_loopback(bind.host) and not reads):
        return True
    if not some:
        raise ConfigError(
            f"at {bind} others than this machine could read, arguments of messages included: give a token "
            f"(--read-token-file, --token-file or {READ_TOKEN}), or say --allow-anonymous-reading"
        )
    return False


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _named(bind: Address) -> list[str]:
    """What it is asked by where it is bound to one address."""
    return [f"[{bind.host}]" if ":" in bind.host else bind.host] if bind.host else []


def _check_installed() -> None:
    try:
        import jinja2  # noqa: F401
        import waitress  # noqa: F401
        import werkzeug  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed: pip install 'taskbridge[dashboard]'") from None
