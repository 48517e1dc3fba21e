"""What docs/how-to/leave-celery.md says works: its commands, one after the other, say what stands under them.

Numbers of two digits, instants and who it was differ from run to run; shares, and what was lost or done twice, do not.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .servers import RedisServer

ROOT = Path(__file__).parent.parent

GUIDE = ROOT / "docs" / "how-to" / "leave-celery.md"

#: How long a reader looks again until he sees what the guide shows, seconds: a ramp takes forty.
PATIENCE_S = 150.0

#: What differs, and what stands for it.
VARIABLE = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "WHEN"),
    (r"\S+@\S+", "WHO"),
    (r"(version|revert) \d+", r"\1 N"),
    (r"of 5 min: .*", "EVIDENCE"),  # in a minute on a busy machine it may be unsure
    (r"\d[\d,]*\.\d+", "N"),
    (r"\d[\d,]*\d(?![\d,]* %)", "N"),
    (r"─+", "─"),
    (r" +", " "),
)


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of the guide, with the lines that stand under it."""
    for block in re.findall(r"^```\n(\$ .*?)^```", text, re.DOTALL | re.MULTILINE):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *said = step.splitlines()
            yield command, said


def alike(lines: list[str]) -> list[str]:
    """Return lines without what differs from run to run, and without empty ones."""
    made = []
    for line in lines:
        for pattern, word in VARIABLE:
            line = re.sub(pattern, word, line)  # noqa: PLW2901
        made.append(line.strip())
    return [line for line in made if line]


class Shell:
    """One shell that is told one command after another."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [shutil.which("bash") or "bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, command: str) -> tuple[int, list[str]]:
        """Run a command; returns its exit code and what it has printed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f'{command}\necho "<ended $?>"\n')
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            ended = re.fullmatch(r"<ended (\d+)>\n", line)
            if ended:
                return int(ended[1]), said
            said.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended: {said}")

    def end(self) -> None:
        """End it, with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@contextmanager
def shell() -> Iterator[Shell]:
    """A shell without settings of ours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKBRIDGE_")}
    made = Shell(environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8"})
    try:
        yield made
    finally:
        made.end()


def look(run: Shell, command: str, shown: list[str]) -> list[str]:
    """Run a command as a reader does: what looks, or is refused, is tried again until it says what the guide shows."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        code, said = run(command)
        if not command.startswith(("taskbridge", "python books.py")) or command.endswith("=$!"):
            return said
        if (code == 0 and alike(shown) == alike(said)) or time.monotonic() > deadline_s:
            return said
        time.sleep(0.5)


@pytest.mark.service("redis")
@pytest.mark.timeout(600)
def test_the_guide_is_true(redis_server: RedisServer, tmp_path: Path):
    """Every command, in order; under each stands what it says. Nothing is lost or done twice on the way."""
    redis_server.cli().flushall()
    text = GUIDE.read_text("utf-8")
    text = text.replace("redis://localhost:6399/0", redis_server.url()).replace("$(mktemp -d)", str(tmp_path))

    with shell() as run:
        for command, shown in steps(text):
            if not command.startswith(("redis-server", "redis-cli")):
                assert alike(shown) == alike(look(run, command, shown)), command


def test_the_guide_shows_the_code_that_is_run():
    """What it shows of the two modules is in them, and what it says of loss is that there was none."""
    text = GUIDE.read_text("utf-8")
    shown = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    modules = [(ROOT / "examples" / "leaving" / name).read_text("utf-8") for name in ("before.py", "after.py")]
    code = re.sub(r' *""".*"""\n', "", "".join(modules))
    assert 2 == len(shown)
    assert all(block.strip() in code for block in shown)
    books = [said for command, said in steps(text) if command == "python books.py"]
    told = [line for said in books for line in said if "missing" in line]
    assert 3 * 2 == len(told)
    assert all("missing 0, twice 0" in line for line in told)
