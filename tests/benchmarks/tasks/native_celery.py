"""The benchmark's tasks as plain Celery has them: its defaults, with late acknowledgement."""

from __future__ import annotations

import json
import os

from celery import Celery

from .started import write_down

app = Celery("bench", broker=os.environ["TASKBRIDGE_BROKER_URL"])
app.conf.update(task_acks_late=True, task_default_queue="bench", **json.loads(os.environ.get("BENCH_CELERY", "{}")))
if os.environ["TASKBRIDGE_BROKER_URL"].startswith("amqp"):
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "4")),
    )


@app.task(name="bench.noop")  # type: ignore[untyped-decorator]
def noop(user_id: int, provider_id: int) -> None: ...


@app.task(name="bench.mark")  # type: ignore[untyped-decorator]
def mark(sent_ns: int, path: str) -> None:
    write_down(sent_ns, path)


send_noop = noop.delay
send_mark = mark.delay
