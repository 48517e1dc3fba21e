"""What several verbs take: ``--json``, ``--module``, names of queues; and the bridge they work on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..config import LOG_FORMATS
from ..errors import ConfigError
from ..options import check_queue_name

if TYPE_CHECKING:
    from ..bridge import Bridge
    from ..observe.exposition import Address

#: What a change of routes is given.
NOTE = click.option("--note", default="", metavar="TEXT", help="Why; it is kept in the history.")
FORCE = click.option(
    "--force", is_flag=True, help="Also where no live worker would take the messages, or knows such a task."
)

F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """Return commands as the end of a verb's help has them."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def as_json(command: F) -> F:
    """Give a verb that reads its ``--json``."""
    return click.option("--json", "json", is_flag=True, help="Print JSON for other programs.")(command)


def on_a_bridge(command: F) -> F:
    """Give a verb that needs no tasks ``--module`` and ``--chdir``: which settings it works with."""
    module = click.option("--module", metavar="MODULE[:BRIDGE]", help="Take the settings of a Bridge of your own.")
    return module(in_directory(command))


def with_a_log(command: F) -> F:
    """Give a verb that serves until it is told to stop its ``--log-level`` and ``--log-format``."""
    level = click.option("--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
    told = "How entries are written. Defaults to TASKBRIDGE_LOG_FORMAT, else plain."
    return level(click.option("--log-format", type=click.Choice(LOG_FORMATS), help=told)(command))


def in_directory(command: F) -> F:
    """Give a verb that imports modules its ``--chdir``."""
    where = click.Path(exists=True, file_okay=False)
    return click.option("--chdir", default=".", type=where, help="Where modules are found.")(command)


def words(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    """Read a comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def queue_names(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    """Read a comma-separated list of queues; a name that no engine can have is refused."""
    return [queue_name(context, parameter, word) for word in words(context, parameter, text)]


def queue_name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Read the name of one queue."""
    try:
        if name:
            check_queue_name(name)
    except ConfigError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    return name


def address(context: click.Context, parameter: click.Parameter, text: str | None) -> Address | None:
    """Read where to listen."""
    from ..observe.exposition import address_of

    try:
        return None if text is None else address_of(text)
    except ConfigError as error:
        raise click.BadParameter(str(error), context, parameter) from None


@contextmanager
def opened(modules: Sequence[str | None], directory: str) -> Iterator[Bridge]:
    """Import modules and give the bridge they name, or the default one; its connections are given back at the end.

    What a module prints while it is imported goes to standard error.
    """
    from ..worker.modules import import_bridge

    with redirect_stdout(sys.stderr):
        bridge = import_bridge([module for module in modules if module], directory)
    try:
        yield bridge
    finally:
        bridge.close()


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Give a list that SIGTERM and Ctrl-C are put into, instead of ending the process; a second one ends it at once.

    An event would not do: a handler that sets it could wait for the event's own lock.
    """
    stops: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stops.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def own_name() -> str:
    """Return a name for this process that no other has."""
    import os

    from ..lease import host

    return f"{host()}.{os.getpid()}.{os.urandom(2).hex()}"
