"""Enqueue the import of a file: ``python -m examples.fintech.produce FILE``. Prints the ids of its chain's messages."""

from __future__ import annotations

import time
from pathlib import Path

import click

from taskbridge import TaskbridgeError

from .database import NoDatabase, database
from .imports import import_of
from .rows import NotAnExport, check_header
from .tasks import hello

PAGE_LINES = 100

#: How long a worker may take to come up.
WAIT_S = 60.0


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--page-lines", default=PAGE_LINES, show_default=True, type=click.IntRange(1))
@click.option("--wait", is_flag=True, help="First see that a worker is there.")
def main(file: Path, page_lines: int, wait: bool) -> None:
    """Enqueue the import of FILE; the rows stay in the file."""
    try:
        check_header(file)
        database().create()
        if wait:
            greeted()
        _produce(file, page_lines)
    except (TaskbridgeError, NoDatabase, NotAnExport) as error:
        raise click.ClickException(str(error)) from None


def greeted() -> str:
    """Wait until a worker has answered a greeting; returns its id."""
    sent, deadline = hello.enqueue().id, time.monotonic() + WAIT_S
    while not database().rows("SELECT 1 FROM effects WHERE message_id = ?", sent):
        if time.monotonic() > deadline:
            raise click.ClickException(f"no worker has answered within {WAIT_S:.0f} s")
        time.sleep(0.02)
    return sent


def _produce(file: Path, page_lines: int) -> None:
    work = import_of(file, page_lines)
    receipt = work.enqueue()
    for link in range(len(work.links)):
        print(f"{receipt.chain}:{link}")


if __name__ == "__main__":
    main()
