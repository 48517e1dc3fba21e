"""``taskbridge why``: a message's whole story, and what it waits for."""

from __future__ import annotations

import json as _json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..shown.text import safe, without_passwords
from .common import as_json, on_a_bridge, opened, queue_names
from .screen import say, say_json

if TYPE_CHECKING:
    from ..operations.history import Step, Story

EXAMPLES = """\b
Examples:
  taskbridge why 5f2b...
  taskbridge why 5f2b... --scan 1000               # look through the first 1000 messages of each queue, too
  taskbridge why 5f2b... --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("id")
@click.option("--scan", default=0, type=click.IntRange(0), help="Look through so many messages of each queue.")
@click.option("--queues", default="", callback=queue_names, help="Comma-separated; scan these too.")
@on_a_bridge
@as_json
def why(id: str, scan: int, queues: list[str], module: str | None, chdir: str, json: bool) -> None:
    """Tell what has happened to the message ID, where it is, what it waits for, and what can be done.

    ID may be a chain's: then it is the link that stands, or has failed. Arguments are shown without what is secret by
    its name. `taskbridge status ID` is the same in one line.

    Exit code 1 when nothing is known of it.
    """
    from ..operations import history

    with opened([module], chdir) as bridge:
        more = [*queues, *(one.options.queue for one in bridge.definitions.values())]
        found = history.why(bridge, id, scan=scan, queues=more)
    for problem in found.problems:
        say(f"taskbridge: {problem}", error=True)
    if json:
        say_json(_plain(found))
    else:
        for line in lines(found):
            say(line)
    raise SystemExit(found.state == "unknown")


def lines(found: Story) -> Iterator[str]:
    """Yield what is shown of a story, line by line."""
    yield f"{safe(found.id)}: {safe(found.state)}"
    yield f"  {safe(found.where.why)}"
    if found.task or found.queue:
        yield f"  task {safe(found.task or 'unknown')} of queue {safe(found.queue or 'unknown')}"
    yield from _arguments(found)
    yield from _belongs(found)
    if found.steps:
        yield ""
        yield "what has happened"
        if found.forgotten:
            yield "  (only the last 30 things are kept)"
        width = max(len(_ago(step, found)) for step in found.steps)
        yield from (_step(step, found, width) for step in found.steps)
    if found.waits:
        yield ""
        yield "what it waits for"
        for wait in found.waits:
            name = f" {safe(wait.name)}" if wait.name else ""
            yield f"  {safe(wait.kind)}{name}: {safe(wait.words)}"
    if found.traceback:
        yield ""
        yield "how it died"
        yield from (f"  {safe(line)}" for line in without_passwords(found.traceback).splitlines())
    if found.advice:
        yield ""
        yield "what can be done"
        width = max(len(safe(one.command)) for one in found.advice)
        yield from (f"  {safe(one.command):<{width}}  # {safe(one.words)}" for one in found.advice)


def _arguments(found: Story) -> Iterator[str]:
    if not found.arguments:
        return
    words = [_shown(one) for one in found.args] + [f"{safe(name)}={_shown(one)}" for name, one in found.kwargs.items()]
    yield f"  called with ({', '.join(words)})"


def _shown(value: Any) -> str:
    return safe(_json.dumps(value, ensure_ascii=False))


def _belongs(found: Story) -> Iterator[str]:
    if found.link is not None:
        yield f"  {safe(found.link.why)}"
    if found.run:
        yield f"  a chunk of the run {safe(found.run)}; see taskbridge runs show {safe(found.run)}"
    for batch in found.batches:
        yield f"  member of the batch {safe(batch)}; see taskbridge batches show {safe(batch)}"


def _ago(step: Step, found: Story) -> str:
    from ..operations.words import span

    return f"{span(max(0, found.now_ms - step.at_ms))} ago"


def _step(step: Step, found: Story, width: int) -> str:
    from ..operations.words import instant

    return f"  {instant(step.at_ms)}  {_ago(step, found):>{width}}  {safe(step.words)}"


def _plain(found: Story) -> dict[str, Any]:
    from dataclasses import asdict

    from ..operations.words import instant

    plain: dict[str, Any] = {"id": found.id, "state": found.state, "why": found.where.why}
    plain |= {"task": found.task, "queue": found.queue, "attempt": found.attempt, "starts": found.starts}
    if found.arguments:
        plain |= {"args": list(found.args), "kwargs": found.kwargs}
    plain["steps"] = [asdict(step) | {"at": instant(step.at_ms)} for step in found.steps]
    plain["forgotten"] = found.forgotten
    plain["waits"] = [asdict(wait) for wait in found.waits]
    plain["advice"] = [asdict(one) for one in found.advice]
    if found.link is not None:
        plain |= {"chain": found.link.chain, "link": found.link.n, "left": found.link.left}
    if found.run:
        plain["run"] = found.run
    if found.batches:
        plain["batches"] = list(found.batches)
    if found.traceback:
        plain["traceback"] = found.traceback
    return plain
