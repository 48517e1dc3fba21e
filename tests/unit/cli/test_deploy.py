"""The ways to run a worker that docs/worker.md shows: each command is one that this release understands."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taskbridge.cli import taskbridge as command
from taskbridge.config import load_groups
from tests.servers import missing

TEXT = (Path(__file__).parents[3] / "docs" / "worker.md").read_text("utf-8")

#: From the shell blocks, the unit and the Procfile.
COMMANDS = re.findall(r"^(?:ExecStart=\S*/|\w+: |)taskbridge ((?:worker|relay)\b.*)$", TEXT, re.MULTILINE)


def block(language: str) -> str:
    """The one block of this language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(text)


def understood(words: str) -> dict[str, Any]:
    """What the command line makes of a command; a usage error when an option or a value is none."""
    verb, *rest = shlex.split(words)
    with command.make_context("taskbridge", [verb, *rest]) as context:
        found = command.get_command(context, verb)
        assert found is not None, words
        return found.make_context(verb, rest, parent=context).params


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_understood(words: str):
    """Its options exist, and its values are such as they take."""
    assert understood(words)


def test_every_kind_of_example_was_found():
    """Shell, unit and Procfile; without one of them the test above would try nothing."""
    assert {"worker", "relay"} == {words.split()[0] for words in COMMANDS}
    for text in (block("ini"), block("Procfile")):
        assert any(words in text for words in COMMANDS)
    assert all(words in COMMANDS for words in re.findall(r"^\w+: taskbridge (.*)$", block("Procfile"), re.MULTILINE))


def test_groups_of_the_file_are_those_of_the_command_line(tmp_path: Path):
    """The page says so."""
    (tmp_path / "pyproject.toml").write_text(block("toml"))
    (told,) = {words for words in COMMANDS if "--group high" in words and "--grace" not in words}

    assert understood(told)["groups"] == load_groups({}, tmp_path)


def test_the_unit_waits_for_a_drain_and_reloads_by_hangup():
    """It leaves the worker its grace time and some more, and sends the signal that means a reload."""
    unit = dict(re.findall(r"^(\w+)=(.*)$", block("ini"), re.MULTILINE))
    grace_s = understood(unit["ExecStart"].partition("taskbridge ")[2])["grace"]

    assert grace_s + 10 <= float(unit["TimeoutStopSec"])
    assert f"/bin/kill -{signal.SIGHUP.name.removeprefix('SIG')} $MAINPID" == unit["ExecReload"]
    assert "mixed" == unit["KillMode"]


def test_systemd_accepts_the_unit(tmp_path: Path):
    """Without a word: a key it does not know would be ignored with a warning."""
    verify = shutil.which("systemd-analyze") or missing("systemd-analyze")
    here = Path(sys.executable).parent / "taskbridge"
    (tmp_path / "bank-worker.service").write_text(block("ini").replace("/srv/bank/.venv/bin/taskbridge", str(here)))

    ran = subprocess.run(
        [verify, "verify", "./bank-worker.service"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (0, "") == (ran.returncode, ran.stdout + ran.stderr)
