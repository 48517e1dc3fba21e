"""Import the modules that hold the tasks, and find the bridge they are declared on."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType

from .. import default_bridge
from ..bridge import Bridge
from ..contrib import django
from ..errors import ConfigError

#: How a module is named.
HOW = "name it as an import does, such as app.tasks, and its folder by --chdir"


def import_bridge(modules: list[str], directory: str = ".") -> Bridge:
    """Import modules with ``directory`` first on the path; ``module:name`` names the bridge, the default one otherwise.

    Where its settings are named, Django is set up first; no connection of it is left open.

    Raises:
        ConfigError: a module does not import, or ``name`` is no Bridge in it.
    """
    where = os.path.abspath(directory)
    if where not in sys.path:
        sys.path.insert(0, where)
    bridge = default_bridge
    if modules:
        django.set_up()
    for spec in modules:
        module, _, name = spec.partition(":")
        found = _imported(module, where)
        if name:
            named = getattr(found, name, None)
            if not isinstance(named, Bridge):
                raise ConfigError(f"expected {name!r} in {module!r} to be a taskbridge.Bridge, got {named!r}")
            bridge = named
    if modules:
        django.keep_connections(bridge)
        django.close_connections()
    return bridge


def _imported(module: str, where: str) -> ModuleType:
    told = f"the module {module!r} does not import (looked in {where}):"
    if not _is_dotted(module):
        raise ConfigError(f"{told} {_missing(module)}")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"{told}\n{_traced(error)}") from error
        raise ConfigError(f"{told} {_missing(error.name)}") from error
    except (Exception, SystemExit) as error:  # a script that ends the process is no module of tasks
        raise ConfigError(f"{told}\n{_traced(error)}") from error


def _is_dotted(module: str) -> bool:
    return bool(module) and not module.startswith(".") and os.sep not in module


def _missing(module: str) -> str:
    """Tell that a module is not there; of a path, which name was meant."""
    name = module.removesuffix(".py").strip("./").replace(os.sep, ".")
    near = f" did you mean {name!r}?" if name not in ("", module) else ""
    return f"there is no module {module!r};{near} {HOW}"


def _traced(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
