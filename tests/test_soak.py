"""``make soak`` comes to the end of what it has to run, and goes on from where it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from . import soak

#: By name: fails; ends its whole process, as a deadline does; passes.
MODULES = {
    "test_a": "assert False",
    "test_b": "os._exit(1)",
    "test_c": "assert True",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a soak of three parts."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = soak\n")
    (tmp_path / "tests").mkdir()
    for name, body in MODULES.items():
        (tmp_path / "tests" / f"{name}.py").write_text(
            f"import os, pytest\n\ndef test_quick(): pass\n\n"
            f"@pytest.mark.soak\n@pytest.mark.parametrize('n', [1, 2])\ndef test_long(n):\n    {body}\n"
        )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # it starts in half the time
    monkeypatch.setattr(soak, "ROOT", tmp_path)
    monkeypatch.setattr(soak, "KEPT", tmp_path / "build" / "soak.json")
    return tmp_path


def asked(*arguments: str) -> tuple[int, str]:
    """Return the code and what was told, without what pytest tells."""
    result = CliRunner().invoke(soak.main, arguments)
    return result.exit_code, result.output


def test_a_part_that_fails_or_dies_ends_no_other(tree: Path):
    """All are run, and one that failed makes the code 1; RESUME runs those that did not pass, and no other."""
    first = asked()
    (tree / "tests" / "test_a.py").write_text((tree / "tests" / "test_a.py").read_text().replace("False", "True"))
    second = asked("--resume")

    assert (1, 1) == (first[0], second[0]), first[1] + second[1]
    assert ["FAILED", "FAILED", "passed"] == re.findall(r"^ *(FAILED|passed) .*::", last(first[1]), re.MULTILINE)
    assert ["FAILED", "passed"] == sorted(re.findall(r"^ *(FAILED|passed) .*::", last(second[1]), re.MULTILINE))
    assert ["test_a.py-test_long.xml", "test_c.py-test_long.xml"] == sorted(
        path.name for path in (tree / "build" / "soak").iterdir()
    )
    assert 0 == asked("--resume", "--only", "test_a test_c")[0]


def test_it_tells_what_it_will_run(tree: Path, monkeypatch: pytest.MonkeyPatch):
    """By name, with cases and time, the short ones first, and runs nothing; words that no part has are refused."""
    monkeypatch.setattr(soak, "ABOUT_S", {"tests/test_a.py::test_long": 600.0, "tests/test_b.py::test_long": 30.0})

    code, told = asked("--list", "--only", "a.py b.py")

    assert 0 == code
    lines = [line.split() for line in told.splitlines() if line]
    assert ["30", "s", "2", "cases", "tests/test_b.py::test_long"] == lines[0]
    assert ["10", "min", "2", "cases", "tests/test_a.py::test_long"] == lines[1]
    assert ["10", "min", "about,", "2", "parts"] == lines[2]
    assert not (tree / "build").exists()
    assert 1 == asked("--list", "--only", "nothing")[0]


def test_every_part_with_a_time_is_there():
    """What was renamed or is gone has none."""
    for part in soak.ABOUT_S:
        path, name = part.split("::")
        assert re.search(rf"^(def|class) {name}\b", (soak.ROOT / path).read_text(), re.MULTILINE), part


def last(told: str) -> str:
    """What stands behind the last part."""
    return told.rpartition("==>")[2]
