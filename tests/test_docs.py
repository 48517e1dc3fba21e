"""What the README says works when it is pasted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .conformance.matrix import PAGE, declared, table, without_cases, written
from .servers import RedisServer

ROOT = Path(__file__).parent.parent


def test_the_tutorial_works_when_pasted(redis_server: RedisServer, tmp_path: Path):
    """Every shell block between the tutorial's marks runs as one script, on both engines, with native neighbours."""
    readme = (ROOT / "README.md").read_text()
    tutorial = readme.partition("<!-- tutorial")[2].partition("<!-- end of tutorial -->")[0]
    script = "\n".join(re.findall(r"```sh\n(.*?)```", tutorial, re.DOTALL))
    redis_server.cli().flushall()
    script = re.sub(r"^(redis-server|redis-cli|\. \.venv).*$", "", script, flags=re.MULTILINE)
    script = script.replace("redis://localhost:6399/0", redis_server.url()).replace("$(mktemp -d)", str(tmp_path))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    ran = subprocess.run(
        [shutil.which("bash") or "bash", "-ec", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    said = ran.stdout + ran.stderr
    for line in (
        "mailed: account 7, 12.50 on 01 March 2026",
        "mailed: account 8, 0.99 on 02 March 2026",
        "mailed: account 9, 3.10 on 03 March 2026",
        "mailed: account 10, 1.00 on 04 March 2026",
        "ring ring ring",
    ):
        assert line in said, said
    assert 0 == ran.returncode, said


def test_every_link_between_the_pages_leads_somewhere():
    """No page names a file that is not there."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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
