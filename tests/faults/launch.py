"""``python -m tests.faults.launch CONSTANTS ARGUMENTS...``: the ``taskbridge`` command with other constants.

Some are a minute long for good reasons and no settings; a test has less time. CONSTANTS is JSON, such as
``{"taskbridge.worker.supervisor.DEAF_S": 2.0}``. They hold in the supervisor, not in its template and children.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from taskbridge.cli import main

if __name__ == "__main__":
    for place, value in json.loads(sys.argv.pop(1)).items():
        module, _, name = place.rpartition(".")
        assert hasattr(import_module(module), name), f"{module} has no {name}"
        setattr(import_module(module), name, value)
    main()
