"""The bank's import as a workload of ``taskbridge compare``."""

import json
import os
import subprocess
import sys

import pytest

from examples.fintech.process import ROOT
from examples.fintech.server import find

ROWS = 60


@pytest.mark.usefixtures("redis")
@pytest.mark.service("redis")
def test_both_engines_do_the_same_work():
    """From one chain, as many tasks on each: nothing lost, nothing twice; the poison row is the one that is dead."""
    with find() as broker:
        command = [sys.executable, "-m", "taskbridge", "compare", "examples.fintech.comparison:workload", "--json"]
        options = ["--backends", "celery+redis,dramatiq+redis", "--rounds", "1", "--processes", "2"]
        done = subprocess.run(
            [*command, *options, "--redis", broker.url],
            check=False, cwd=ROOT, capture_output=True, text=True, timeout=110,
            env=os.environ | {"FINTECH_ROWS": str(ROWS)},
        )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    celery, dramatiq = (side["runs"][0] for side in json.loads(done.stdout)["sides"])
    assert celery["tasks"] == pytest.approx(dramatiq["tasks"], abs=ROWS)  # refreshes are shared as it happens
    for run in (celery, dramatiq):
        assert run["tasks"] > 2 * ROWS
        assert (1, 0, 0, 1) == (run["dead"], run["lost"], run["twice"], run["calls"])
