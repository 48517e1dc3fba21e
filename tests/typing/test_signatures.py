"""A task's signature is its function's, for type checkers too: a wrong ``enqueue`` is an error in the editor."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SIGNATURES = Path(__file__).with_name("signatures.py")


def test_mypy_finds_what_is_marked_and_nothing_else():
    """``mypy --strict`` reports every marked line with its error, and no other line."""
    lines = SIGNATURES.read_text("utf-8").splitlines()
    marks = [re.search(r"# error: ([\w-]+)", line) for line in lines]
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(SIGNATURES)]

    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    found = re.findall(r"signatures\.py:(\d+): error: .*\[([\w-]+)\]$", told.stdout, re.MULTILINE)
    assert [(n, mark[1]) for n, mark in enumerate(marks, 1) if mark] == [(int(n), code) for n, code in found], told
    assert len(found) == told.stdout.count(": error: "), told.stdout
