"""Import the modules that hold the tasks, and find the bridge they are declared on."""

from __future__ import annotations

import importlib
import os
import sys
import traceback

from .. import default_bridge
from ..bridge import Bridge
from ..contrib import django
from ..errors import ConfigError


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
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit) as error:  # a script that ends the process is no module of tasks
            trace = "".join(traceback.format_exception(error)).rstrip()
            raise ConfigError(f"the module {module!r} does not import (looked in {where}):\n{trace}") from error
        if name:
            named = getattr(found, name, None)
            if not isinstance(named, Bridge):
                raise ConfigError(f"expected {name!r} in {module!r} to be a taskbridge.Bridge, got {named!r}")
            bridge = named
    if modules:
        django.keep_connections(bridge)
        django.close_connections()
    return bridge
