"""Importing the modules that hold the tasks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskbridge
from taskbridge.errors import ConfigError
from taskbridge.worker.modules import import_bridge

SOURCES = {
    "bank_tasks": "from taskbridge import Bridge, Settings\nbridge = Bridge(Settings(backend='memory'))\nother = 5\n",
    "bank_plain": "value = 1\n",
    "bank_broken": "import bank_plain\n\ndef f():\n    return undefined\n\nf()\n",
    "bank_lacks": "import a_package_that_is_not_there\n",
    "bank_exits": "import sys\nsys.exit('not so')\n",
    "bank_syntax": "def (:\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.py").write_text(source)
    yield str(tmp_path)
    for name in SOURCES:
        sys.modules.pop(name, None)


def test_the_bridge_is_the_one_that_is_named(folder: str):
    """``module:name``; where none is named, the default one, on which ``@task`` declares."""
    named = import_bridge(["bank_plain", "bank_tasks:bridge"], folder)

    assert named is sys.modules["bank_tasks"].bridge
    assert taskbridge.default_bridge is import_bridge(["bank_plain", "bank_tasks"], folder)


def test_modules_are_found_in_the_directory(folder: str):
    """First of all, and it stands on the path once."""
    import_bridge(["bank_plain"], folder)
    import_bridge(["bank_plain"], folder)

    assert folder == sys.path[0]
    assert 1 == sys.path.count(folder)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("bank_broken", "NameError: name 'undefined' is not defined"),
        ("bank_lacks", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("bank_exits", "SystemExit: not so"),
        ("bank_syntax", "SyntaxError: "),
    ],
)
def test_module_that_does_not_import_is_refused(folder: str, module: str, why: str):
    """With where it was looked for, and the whole traceback: the mistake is the user's to find."""
    with pytest.raises(ConfigError) as refused:
        import_bridge([module], folder)

    first, *_ = str(refused.value).splitlines()
    assert f"the module {module!r} does not import (looked in {folder}):" == first
    assert why in str(refused.value)
    assert "Traceback (most recent call last):" in str(refused.value)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("bank_nowhere", "there is no module 'bank_nowhere'; "),
        ("nowhere.tasks", "there is no module 'nowhere'; "),
        ("bank_plain.tasks", "there is no module 'bank_plain.tasks'; "),
        ("bank_plain.py", "there is no module 'bank_plain.py'; did you mean 'bank_plain'? "),
        ("./bank_plain.py", "there is no module './bank_plain.py'; did you mean 'bank_plain'? "),
        ("bank/tasks.py", "there is no module 'bank/tasks.py'; did you mean 'bank.tasks'? "),
        ("..bank", "there is no module '..bank'; did you mean 'bank'? "),
        ("", "there is no module ''; "),
    ],
)
def test_module_that_is_not_there_is_told_in_one_line(folder: str, module: str, told: str):
    """With where it was looked for and how it is named: no code of the user's has a mistake that a traceback shows."""
    with pytest.raises(ConfigError) as refused:
        import_bridge([module], folder)

    how = "name it as an import does, such as app.tasks, and its folder by --chdir"
    assert f"the module {module!r} does not import (looked in {folder}): {told}{how}" == str(refused.value)


@pytest.mark.parametrize(("spec", "got"), [("bank_tasks:other", "got 5"), ("bank_tasks:nothing", "got None")])
def test_name_of_no_bridge_is_refused(folder: str, spec: str, got: str):
    """With what stands there."""
    with pytest.raises(ConfigError, match=f"expected '.*' in 'bank_tasks' to be a taskbridge.Bridge, {got}"):
        import_bridge([spec], folder)
