"""Tasks with timeouts, for workers that keep them and workers that refuse them: chosen by ``LIMITED``."""

from __future__ import annotations

import json
import os
import time

from taskbridge import SoftTimeout, task


@task(name="limited.stays", queue="limited", retry=None, **json.loads(os.environ["LIMITED"]))
def stays() -> None:
    """Takes for ever, and says what it meets."""
    try:
        time.sleep(60)
    except SoftTimeout:
        print("met its soft timeout", flush=True)
        raise
