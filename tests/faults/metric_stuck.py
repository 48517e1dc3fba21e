"""The tasks of the tests of metrics, and one that no engine's own command can run."""

from __future__ import annotations

import time

from taskbridge import task

from . import metric_tasks


@task(queue=metric_tasks.QUEUE, hard_timeout=0.3, retry=None, name=f"{metric_tasks.__name__}.stuck")
def stuck(n: int) -> None:
    """Is ended by its supervisor."""
    time.sleep(60)
