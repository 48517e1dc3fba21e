"""Hold the package's face: its names, what importing it costs, and that the project names no package index."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import taskbridge

ROOT = Path(__file__).parent.parent

#: What only those who use it pay for; `import taskbridge` loads none of these.
HEAVY = {
    "amqp",
    "boto3",
    "celery",
    "click",
    "cronsim",
    "django",
    "dramatiq",
    "kombu",
    "prometheus_client",
    "psycopg",
    "redis",
    "rich",
    "zoneinfo",
}

#: A host of packages, or an index anywhere else: each would tie a clone to one place.
INDEX = re.compile(r"py(pi|thonhosted)\.org|(https?|file)://\S+/simple\b")


def test_public_names_are_sorted():
    """``__all__`` is in alphabetical order, each name once."""
    assert sorted(set(taskbridge.__all__)) == list(taskbridge.__all__)


def test_public_names_are_complete():
    """``__all__`` is all that the package binds and all that it promises."""
    bound = {name for name, value in vars(taskbridge).items() if not isinstance(value, ModuleType)}

    assert {name for name in bound if not name.startswith("_")} - {"annotations"} == {
        name for name in taskbridge.__all__ if not name.startswith("_")
    }
    assert set(taskbridge.__all__) <= bound


def test_import_loads_nothing_heavy():
    """``import taskbridge`` in a fresh process loads no engine and no vendor client."""
    program = "import sys, taskbridge; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout

    assert set() == HEAVY & set(loaded.split())


def test_no_file_names_a_package_index():
    """A clone installs from whatever index its reader has configured."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    ).stdout  # fmt: skip
    files = [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]

    found = [path for path in files if INDEX.search(path.read_text("utf-8", errors="replace"))]

    assert [] == found
