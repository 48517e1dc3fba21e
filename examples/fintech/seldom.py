"""What the workload never meets, once each: ``python -m examples.fintech.seldom``, for ``make demo METRICS=1``.

A greeting that the broker hands out again after it was answered, one that comes too late, and a task that no worker
knows yet. Nothing here counts for the bank.
"""

from __future__ import annotations

import click

from taskbridge import TaskbridgeError, default_bridge, external
from taskbridge.message import Message, new_id

from .produce import greeted
from .tasks import hello

QUEUE = "imports"


@click.command()
def main() -> None:
    """Send them; prints the id of the message that no worker knows."""
    try:
        copy = Message(id=greeted(), task=hello.name, queue=QUEUE)
        late = Message(id=new_id(), task=hello.name, queue=QUEUE, expires_at_ms=1)
        default_bridge.backend(default_bridge.settings.backend).publish([copy, late])
        print(external(f"{hello.name}_of_tomorrow", queue=QUEUE).enqueue().id)
    except TaskbridgeError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
