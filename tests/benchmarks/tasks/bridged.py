"""The benchmark's tasks as taskbridge has them: its defaults."""

from __future__ import annotations

from taskbridge import task

from .started import write_down


@task(name="bench.noop", queue="bench")
def noop(user_id: int, provider_id: int) -> None: ...


@task(name="bench.mark", queue="bench")
def mark(sent_ns: int, path: str) -> None:
    write_down(sent_ns, path)


send_noop = noop.enqueue
send_mark = mark.enqueue
