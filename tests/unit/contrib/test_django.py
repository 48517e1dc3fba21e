"""Django is set up where its settings are named, and nowhere else; see conformance/test_django.py for its tasks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

IMPORT = "from taskbridge.worker.modules import import_bridge; import_bridge(%s); "
TOLD = "import sys; print('django' in sys.modules, 'asyncio' in sys.modules)"
MISSING = "import sys; sys.modules['django'] = None; "


def run(program: str, settings: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program in a process whose environment names these settings, or none."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment |= {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("modules", "settings"), [("['json']", None), ("[]", "nowhere.settings")])
def test_without_need_django_is_not_imported(modules: str, settings: str | None):
    """Without its variable, and for a verb that imports no tasks, nothing of it is loaded."""
    told = run(IMPORT % modules + TOLD, settings)

    assert "False False" == told.stdout.strip(), told.stderr


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("", "ModuleNotFoundError: No module named 'nowhere'"),
        (MISSING, "ModuleNotFoundError: import of django halted"),
    ],
)
def test_settings_that_cannot_be_are_an_error(before: str, why: str):
    """Where they are named and do not import, or Django is missing, nothing runs without them: it says what to do."""
    told = run(before + IMPORT % "['json']", "nowhere.settings")

    assert 1 == told.returncode
    assert why in told.stderr
    assert "ConfigError: DJANGO_SETTINGS_MODULE is 'nowhere.settings', and Django does not start with" in told.stderr
