"""What the README says works when it is pasted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conformance.matrix import PAGE, Pair, cases, declared, table, without_cases, written
from .servers import TURNS, RedisServer

ROOT = Path(__file__).parent.parent

#: What the tutorial says.
SAYS = (
    "mailed: account 7, 12.50 on 01 March 2026",
    "mailed: account 8, 0.99 on 02 March 2026",
    "mailed: account 9, 3.10 on 03 March 2026",
    "mailed: account 10, 1.00 on 04 March 2026",
    "ring ring ring",
)

#: How long it may take, seconds: workers are started three times.
PASTED_S = 100


@pytest.mark.timeout((TURNS + 1) * PASTED_S)
def test_the_tutorial_works_when_pasted(redis_server: RedisServer, tmp_path: Path):
    """Every shell block between the tutorial's marks runs as one script, on both engines, with native neighbours.

    It sleeps where its reader waits: pasted again where a busy machine needed longer.
    """
    said = ""
    for turn in range(TURNS):
        ran = pasted(redis_server, tmp_path / str(turn))
        said = ran.stdout + ran.stderr
        if not ran.returncode and all(line in said for line in SAYS):
            return
    pytest.fail(said)


def pasted(redis_server: RedisServer, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a folder of its own."""
    readme = (ROOT / "README.md").read_text()
    tutorial = readme.partition("<!-- tutorial")[2].partition("<!-- end of tutorial -->")[0]
    script = "\n".join(re.findall(r"```sh\n(.*?)```", tutorial, re.DOTALL))
    folder.mkdir()
    redis_server.cli().flushall()
    script = re.sub(r"^(redis-server|redis-cli|\. \.venv).*$", "", script, flags=re.MULTILINE)
    script = script.replace("redis://localhost:6399/0", redis_server.url()).replace("$(mktemp -d)", str(folder))
    return subprocess.run(
        [shutil.which("bash") or "bash", "-ec", script],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PASTED_S,
        check=False,
    )


def test_every_link_between_the_pages_leads_somewhere():
    """No page names a file that is not there."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert [] == broken


def test_what_each_pair_keeps_is_what_it_declares():
    """The table of pairs and capabilities is the one that ``make matrix`` would write now, but for what a run tells."""
    standing = written(PAGE.read_text("utf-8"))

    assert list(without_cases(table(declared(), {}))) == list(without_cases(standing)), "run make matrix"
    assert "not run" not in "".join(standing)


def test_a_case_that_was_run_again_counts_as_it_ended_last(tmp_path: Path):
    """In a later file, on its pair alone; a test that fails twice, in its call and after it, is one case."""
    case = '<testcase classname="tests.conformance.test_backends.{}" name="{}">{}</testcase>'
    whole = [case.format(suite, name, "") for suite in ("TestCelery", "TestDramatiq") for name in ("test_a", "test_b")]
    whole[0] = case.format("TestCelery", "test_a", "<failure/><error/>")
    for name, lines in (("whole", whole), ("again", [case.format("TestCelery", "test_a", "<properties/>")])):
        (tmp_path / name).write_text(f"<testsuite>{''.join(lines)}</testsuite>")

    celery, dramatiq = Pair("celery", "redis", "ours"), Pair("dramatiq", "redis", "ours")
    once, again = cases(tmp_path / "whole"), cases(tmp_path / "whole", tmp_path / "again")

    assert (1, 1) == (once[celery]["passed"], once[celery].total() - once[celery]["passed"])
    assert {celery: {"passed": 2}, dramatiq: {"passed": 2}} == again
