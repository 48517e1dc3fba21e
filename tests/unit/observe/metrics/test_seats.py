"""Seats: files are reused, whatever ends a process, and what it had counted stays."""

from __future__ import annotations

import re
import signal
import tempfile
from pathlib import Path

import pytest

from .folders import a_python, files, ran, said, sent

#: A user who is not root.
NOBODY = 65534

#: Says that it has counted, then waits to be told to end.
WAIT = "print('counted', flush=True); sys.stdin.read()\n"


def test_who_comes_after_goes_on_with_the_file(tmp_path: Path):
    """One process after another has the same seat, and their counts add up."""
    for _ in range(3):
        ran(a_python(tmp_path, "count(2)"))

    assert ["counter_taskbridge-0.db"] == files(tmp_path)
    assert 6 == sent(tmp_path)


def test_a_process_that_is_killed_keeps_its_counts_and_gives_its_seat_back(tmp_path: Path):
    """SIGKILL at any instant: the kernel frees the seat, the file has what was counted."""
    doomed = a_python(tmp_path, "count(5)\n" + WAIT)
    assert doomed.stdout
    assert "counted\n" == doomed.stdout.readline()
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()

    ran(a_python(tmp_path, "count(1)"))

    assert ["counter_taskbridge-0.db"] == files(tmp_path)
    assert 6 == sent(tmp_path)


def test_processes_of_one_time_have_seats_of_their_own(tmp_path: Path):
    """Two never write into one file; the lowest seat that is free is taken first."""
    first, second = (a_python(tmp_path, "count(1)\n" + WAIT) for _ in range(2))
    for one in (first, second):
        assert one.stdout
        assert "counted\n" == one.stdout.readline()
    ran(first)
    ran(a_python(tmp_path, "count(1)"))
    ran(second)

    assert ["counter_taskbridge-0.db", "counter_taskbridge-1.db"] == files(tmp_path)
    assert 3 == sent(tmp_path)


def test_a_fork_takes_a_seat_of_its_own(tmp_path: Path):
    """It does not write where its parent does, and leaves its parent's seat alone when it ends; nor does it count again
    what its parent had counted."""
    code = """
import os
count(1)
for _ in range(3):
    if os.fork() == 0:
        count(10)
        os._exit(0)
    os.wait()
count(1)
"""
    ran(a_python(tmp_path, code))

    assert ["counter_taskbridge-0.db", "counter_taskbridge-1.db"] == files(tmp_path)
    assert 32 == sent(tmp_path)


REPLACED = """
import os, signal
for n in range({times}):
    if os.fork() == 0:
        count(1)
        os.kill(os.getpid(), signal.SIGKILL) if n % 2 else os._exit(0)
    os.wait()
"""


def replaced(folder: Path, times: int) -> None:
    """So many children, one after another, each counts one, every other is killed; then nothing has grown."""
    ran(a_python(folder, REPLACED.format(times=10)))
    sizes = {name: (folder / name).stat().st_size for name in files(folder)}
    series = _series(folder)

    ran(a_python(folder, REPLACED.format(times=times)))

    assert sizes == {name: (folder / name).stat().st_size for name in files(folder)}
    assert series == _series(folder)
    assert times + 10 == sent(folder)


def test_children_replaced_a_thousand_times_leave_nothing_behind(tmp_path: Path):
    """Files, their sizes and the series in them are what they were; every count is there."""
    replaced(tmp_path, 1_000)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_children_replaced_ten_thousand_times_leave_nothing_behind(tmp_path: Path):
    """As a thousand; issue 5 says so many."""
    replaced(tmp_path, 10_000)


THEIRS = """
from prometheus_client import values
values.ValueClass = values.MutexValue  # as if nobody had chosen
from taskbridge.observe.metrics.seats import seat_metrics
seat_metrics()
import prometheus_client
bare = prometheus_client.Counter("app_bare", "Without labels: it opens its file here, before the fork.")
living = prometheus_client.Gauge("app_living", "Of those that live.", multiprocess_mode="livesum")
"""


def test_metrics_of_the_tasks_own_modules_are_seated_too(tmp_path: Path):
    """A template declares them, its children count: no file is named after a process, none piles up, all adds up."""
    code = f"""{THEIRS}
import os
for _ in range(5):
    if os.fork() == 0:
        bare.inc(); count(1)
        os._exit(0)
    os.wait()
"""
    ran(a_python(tmp_path, code))

    assert 5 == said(tmp_path)("app_bare_total")
    assert all(re.fullmatch(r"[a-z_]+_(seat|taskbridge)-[01]\.db", name) for name in files(tmp_path)), files(tmp_path)


def test_a_gauge_of_the_living_is_gone_with_its_process(tmp_path: Path):
    """Its next holder removes it; so does whoever looks, but of no seat that somebody has."""
    code = f"{THEIRS}\nliving.inc(); print('counted', flush=True)\nif sys.stdin.readline(): os._exit(0)\n"
    staying, going = a_python(tmp_path, "import os\n" + code), a_python(tmp_path, "import os\n" + code)
    for one in (staying, going):
        assert one.stdout
        assert "counted\n" == one.stdout.readline()
    assert 2 == said(tmp_path)("app_living")
    going.send_signal(signal.SIGKILL)
    going.communicate()

    clear = """
import os
from taskbridge.observe.metrics.seats import seats_of
seats_of(os.environ["PROMETHEUS_MULTIPROC_DIR"]).clear_live()
"""
    ran(a_python(tmp_path, clear))

    assert 1 == said(tmp_path)("app_living")
    ran(staying)


def test_a_process_without_a_folder_counts_in_its_memory():
    """Its own exposition of prometheus_client's default registry has our series beside its own; no file is made."""
    out = ran(a_python(None, "count(3)\nimport prometheus_client\nprint(prometheus_client.generate_latest().decode())"))

    assert 'taskbridge_sent_total{backend="memory",broker="memory",queue="mail",task="app.send"} 3.0' in out


@pytest.mark.parametrize("kind", ["missing", "file", "denied"])
def test_a_folder_that_cannot_be_is_refused(kind: str):
    """When the bridge is observed, before anything is sent: what was expected, and the variable's name."""
    expected = {"denied": "cannot be written by this user"}.get(kind, "expected a folder that is there")
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "metrics"
        if kind == "file":
            folder.touch()
        elif kind == "denied":
            folder.mkdir(mode=0o555)
        process = a_python(
            folder, "", first=f"import os\nos.getuid() or os.setuid({NOBODY})  # root may write anywhere"
        )
        _, errors = process.communicate(timeout=60)

    assert 1 == process.returncode
    assert "ConfigError: PROMETHEUS_MULTIPROC_DIR: " in errors
    assert expected in errors


def test_a_folder_that_goes_away_hurts_no_work(tmp_path: Path):
    """It is said once, not with each event; what is sent is sent."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    code = "import os, logging\nlogging.basicConfig()\nos.rmdir(os.environ['PROMETHEUS_MULTIPROC_DIR'])\ncount(5)\n"
    process = a_python(folder, code + "print('done')")
    out, errors = process.communicate(timeout=60)

    assert (0, "done\n") == (process.returncode, out)
    assert 1 == errors.count("metrics are not counted, the work goes on")


def _series(folder: Path) -> set[str]:
    ours = set()
    for name in files(folder):
        raw = (folder / name).read_bytes()
        ours.update(re.findall(rb'\["taskbridge[^\]]*\]', raw))
    return {text.decode() for text in ours}
