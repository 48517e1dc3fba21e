"""What is put on a terminal: tables, JSON, and text that cannot steer it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..observe.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

#: Wide enough that a table in a pipe or a file is never folded, columns.
UNFOLDED = 4_096


def say(text: object = "", *, error: bool = False) -> None:
    """Print a text of one or more lines; errors and remarks go to standard error."""
    click.echo(safe(text, lines=True), err=error)


def say_json(value: Any) -> None:
    """Print a value as JSON in plain ASCII."""
    click.echo(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Print rows under their columns; those named in ``numbers`` stand to the right."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else UNFOLDED
    Console(width=width, highlight=False).print(grid(columns, rows, numbers=numbers))


def grid(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> Table:
    """Return what ``table`` prints, to be part of a picture that changes."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        shown.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(safe("" if cell is None else cell)) for cell in row))
    return shown


@contextmanager
def live(picture: RenderableType) -> Iterator[Callable[[RenderableType], None]]:
    """Show a picture and give what shows the next one in its place; the last one stays, and Ctrl-C only ends it."""
    from rich.console import Console
    from rich.live import Live

    with Live(picture, console=Console(highlight=False), auto_refresh=False) as shown, suppress(KeyboardInterrupt):
        yield partial(shown.update, refresh=True)


def shown_bytes(raw: bytes) -> str:
    """Return bytes as text that can be told back from: ``\\x00`` for what is no letter."""
    return raw.decode("utf-8", errors="backslashreplace")
