"""``taskbridge send``: enqueue any task by its name."""

from __future__ import annotations

import json as jsons
import re
from dataclasses import asdict
from typing import Any

import click

from .common import as_json, in_directory, opened, queue_name
from .screen import say, say_json

EXAMPLES = """\b
Examples:
  taskbridge send app.tasks.send_report 7 '"monthly"' --module app.tasks
  taskbridge send app.tasks.send_report user_id=7 kind=monthly --module app.tasks --delay 60
  taskbridge send legacy.add --kwargs '{"a": 1, "b": 2}' --queue legacy       # a task that only other workers have
  taskbridge send app.tasks.ping --module app.tasks --backend dramatiq --json
"""

#: What begins like JSON and is none is a mistake, and so is how Python writes some of it.
_MEANT_AS_JSON = re.compile(r"[\[{\"'].*|True|False|None|-?(Infinity|NaN)", re.DOTALL)

_KEYWORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


@click.command(epilog=EXAMPLES)
@click.argument("name")
@click.argument("arguments", metavar="[ARGUMENT | KEY=ARGUMENT]...", nargs=-1)
@click.option("--kwargs", default="{}", metavar="JSON", help="Keyword arguments as a JSON object.")
@click.option("--module", metavar="MODULE[:BRIDGE]", help="Where the task is declared; its arguments are checked.")
@click.option("--queue", default="", callback=queue_name, help="Defaults to the task's; needed without --module.")
@click.option("--delay", type=click.FloatRange(0), help="Seconds until it is due.")
@click.option("--priority", type=click.IntRange(0, 9), help="9 is first.")
@click.option("--backend", default="", help="Send it there, whatever the routes say.")
@in_directory
@as_json
def send(
    name: str,
    arguments: tuple[str, ...],
    kwargs: str,
    module: str | None,
    queue: str,
    delay: float | None,
    priority: int | None,
    backend: str,
    chdir: str,
    json: bool,
) -> None:
    """Enqueue the task NAME and print the message's id.

    An ARGUMENT is JSON; what is no JSON is text, so 7 is a number and monthly is a word.
    """
    from ..operations.call import Call, call, declared, external

    positional, named = _read(arguments, kwargs)
    if not module and not queue:
        raise click.UsageError("--queue is needed for a task that no --module declares: the one its workers read")
    options = {"queue": queue or None, "delay": delay, "priority": priority}
    asked = Call(
        task=name,
        args=positional,
        kwargs=named,
        options={option: value for option, value in options.items() if value is not None},
        backend=backend,
    )
    with opened([module], chdir) as bridge:
        definition = declared(bridge, name) if module else external(bridge, name, queue)
        sent = call(bridge, definition, asked)
    if json:
        say_json(asdict(sent))
    else:
        say(sent.id if sent.created else f"{sent.id} (the same call, which was there already)")


def _read(arguments: tuple[str, ...], kwargs: str) -> tuple[list[Any], dict[str, Any]]:
    """Return positional and keyword arguments."""
    positional: list[Any] = []
    try:
        named = _json(kwargs)
    except ValueError as error:
        raise click.BadParameter(f"{kwargs!r} is no JSON: {error}", param_hint="--kwargs") from None
    if not isinstance(named, dict):
        raise click.BadParameter(f"expected a JSON object, got {kwargs!r}", param_hint="--kwargs")
    for argument in arguments:
        keyword = _KEYWORD.fullmatch(argument)
        if keyword is None:
            positional.append(_value(argument))
        elif keyword.group(1) in named:
            raise click.UsageError(f"the argument {keyword.group(1)!r} is given twice")
        else:
            named[keyword.group(1)] = _value(keyword.group(2))
    return positional, named


def _value(text: str) -> Any:
    try:
        return _json(text)
    except ValueError as error:
        if _MEANT_AS_JSON.fullmatch(text):
            raise click.UsageError(f"the argument {text!r} is no JSON: {error}") from None
        return text


def _json(text: str) -> Any:
    return jsons.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")
