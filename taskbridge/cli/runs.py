"""``taskbridge runs``: chunked tasks at work, seen and steered."""

from __future__ import annotations

import json as jsons
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..observe.text import safe
from .common import as_json, examples, on_a_bridge, opened
from .group import Group
from .screen import live, say, say_json, table

if TYPE_CHECKING:
    from ..operations.runs import Run
    from ..store import Store

EXAMPLES = """\b
Examples:
  taskbridge runs list
  taskbridge runs show 5f2b...
  taskbridge runs pause 5f2b...
  taskbridge runs resume 5f2b...
  taskbridge runs cancel 5f2b...
  taskbridge runs rewind 5f2b... --to 40000
"""

LIST_EXAMPLES = """\b
Examples:
  taskbridge runs list
  taskbridge runs list --limit 100 --json
"""

SHOW_EXAMPLES = """\b
Examples:
  taskbridge runs show 5f2b...
  taskbridge runs show 5f2b... --watch   # until it ends, or Ctrl-C
  taskbridge runs show 5f2b... --json
"""

REWIND_EXAMPLES = """\b
Examples:
  taskbridge runs rewind 5f2b...                             # to the start
  taskbridge runs rewind 5f2b... --to 40000
  taskbridge runs rewind 5f2b... --to 2026-01-31
"""

CANCEL_EXAMPLES = """\b
Examples:
  taskbridge runs cancel 5f2b...
  taskbridge runs cancel 5f2b... --yes   # does not ask
"""

RUN = click.argument("run")

#: How often a watched run is looked at, seconds.
WATCH_S = 1.0


@click.group(cls=Group, epilog=EXAMPLES)
def runs() -> None:
    """See and steer the runs of chunked tasks. RUN is the id that enqueue returned."""


@runs.command("list", epilog=LIST_EXAMPLES)
@click.option("--limit", default=20, type=click.IntRange(1), show_default=True)
@on_a_bridge
@as_json
def list_(limit: int, module: str | None, chdir: str, json: bool) -> None:
    """List runs, the newest first: those that go on, then those that ended within a day or have failed."""
    from ..operations import runs as work

    with opened([module], chdir) as bridge:
        found = work.runs(bridge.store, limit)
    if json:
        say_json({"runs": [_plain(one) for one in found]})
    elif found:
        columns = ("run", "task", "state", "done", "position", "open", "error")
        table(columns, [_row(one) for one in found], numbers=("open",))
    else:
        say("no run is known: none goes on, and none ended within a day")


@runs.command(epilog=SHOW_EXAMPLES)
@RUN
@click.option("--watch", is_flag=True, help="Look again every second, until it ends.")
@on_a_bridge
@as_json
def show(run: str, watch: bool, module: str | None, chdir: str, json: bool) -> None:
    """Show how far RUN is, how fast, what it waits for, and what went wrong last."""
    from ..operations import runs as work

    if watch and json:
        raise click.UsageError("expected --watch or --json")
    with opened([module], chdir) as bridge:
        if watch:
            _watch(bridge.store, run)
            return
        found = work.look(bridge.store, run)
    if json:
        say_json(_plain(found))
    else:
        say("\n".join(_lines(found)))


@runs.command(epilog=examples("taskbridge runs pause 5f2b..."))
@RUN
@on_a_bridge
def pause(run: str, module: str | None, chdir: str) -> None:
    """Let RUN rest before its next chunk. A chunk that runs is not disturbed; locks and keys stay the run's."""
    from ..operations import runs as work

    with opened([module], chdir) as bridge:
        _say(work.pause(bridge.store, run))


@runs.command(epilog=examples("taskbridge runs resume 5f2b..."))
@RUN
@on_a_bridge
def resume(run: str, module: str | None, chdir: str) -> None:
    """Let RUN go on where it rests."""
    from ..operations import runs as work

    with opened([module], chdir) as bridge:
        _say(work.resume(bridge.store, run))


@runs.command(epilog=CANCEL_EXAMPLES)
@RUN
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_a_bridge
def cancel(run: str, yes: bool, module: str | None, chdir: str) -> None:
    """End RUN: at once where it waits, else with the chunk that runs. What it has enqueued stays."""
    from ..operations import runs as work

    with opened([module], chdir) as bridge:
        found = work.look(bridge.store, run)
        if not found.state.ended_ms and not yes:
            click.confirm(f"End {safe(run)}, {work.progress(found)}? It cannot go on then.", abort=True)
        _say(work.cancel(bridge.store, run))


@runs.command(epilog=REWIND_EXAMPLES)
@RUN
@click.option("--to", metavar="CURSOR", help="Where to go on: JSON, or text. Defaults to the start.")
@on_a_bridge
def rewind(run: str, to: str | None, module: str | None, chdir: str) -> None:
    """Let RUN, paused or failed, go on from another place. What it enqueues from there on is made anew."""
    from ..operations import runs as work

    with opened([module], chdir) as bridge:
        _say(work.rewind(bridge.store, run, None if to is None else _cursor(to)))


def _cursor(text: str) -> msgspec.Raw:
    """What is no JSON is text."""
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text.encode())))
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(text))


def _say(found: Run) -> None:
    say(f"{safe(found.state.id)} is {found.word}: {safe(found.why)}")


def _watch(store: Store, id: str) -> None:
    """Show a run and a bar until it ends."""
    from ..clock import SystemClock
    from ..operations.runs import look

    clock, found = SystemClock(), look(store, id)
    with live(_picture(found)) as show:
        while not found.state.ended_ms:
            clock.sleep(WATCH_S)
            found = look(store, id)
            show(_picture(found))


def _picture(found: Run) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    text = Text(safe("\n".join(_lines(found)), lines=True))
    state = found.state
    return Group(text, ProgressBar(total=state.total, completed=state.done)) if state.total > 0 else text


def _lines(found: Run) -> list[str]:
    from ..operations.runs import next_due, progress
    from ..operations.words import instant, span

    state = found.state
    backlog = f"; at most {state.max_backlog:,} may be open" if state.max_backlog >= 0 else ""
    lines = {
        "run": state.id,
        "task": f"{state.task} of queue {state.queue}",
        "state": f"{found.word}: {found.why}",
        "progress": progress(found),
        "position": f"{_json(state.at)}, chunk {state.chunk}",
        "rewound": f"{state.round} times, last at {instant(state.since_ms)}" if state.round else "",
        "next due": next_due(found),
        "range": _range(found),
        "enqueued": f"{state.enqueued:,}, of which {state.open:,} have not ended{backlog}",
        "pause": span(state.pause_ms) if state.pause_ms else "",
        "started": instant(state.started_ms),
        "ended": instant(state.ended_ms),
        "error": state.error,
    }
    return [f"{name:<10} {safe(line)}" for name, line in lines.items() if line]


def _range(found: Run) -> str:
    bounds = found.bounds
    stop = _json(bounds.stop)
    return f"{bounds.kind} from {_json(bounds.start)}" + ("" if stop == "null" else f" to {stop}")


def _json(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", errors="backslashreplace")


def _row(found: Run) -> tuple[object, ...]:
    from ..operations.runs import amount
    from ..operations.words import span

    state = found.state
    done = amount(found, state.done)
    if state.total > 0:
        done += f" of {amount(found, state.total)} ({state.done * 100 // state.total} %)"
    if found.left_ms is not None:
        done += f", {span(found.left_ms)} left"
    last = state.error or (found.chunk.why if found.chunk and found.chunk.state != "DONE" else "")
    return state.id, state.task, found.word, done, _json(state.at), state.open, last


def _plain(found: Run) -> dict[str, Any]:
    state = found.state
    plain = {name: getattr(state, name) for name in state.__struct_fields__ if name not in ("at", "bounds", "state")}
    plain |= {"state": found.word, "why": found.why, "per_s": round(found.per_s, 3), "left_ms": found.left_ms}
    plain |= {"position": jsons.loads(bytes(state.at)), "bounds": jsons.loads(bytes(state.bounds))}
    return plain | {"chunk_state": found.chunk.state if found.chunk else None}
