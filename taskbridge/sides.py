"""What one side of a shadow is told as: how its body was left. Pure.

A result is kept as a hash alone: two are compared, and whoever reads the store can do no more than guess.
"""

from __future__ import annotations

import logging
from typing import Any

from .policies.key import digest
from .store.shadows import SUCCEEDED, Told

log = logging.getLogger("taskbridge")

#: Most characters of what is told for people.
LONGEST_WHY = 200


def returned(result: Any, backend: str) -> Told:
    """Say that it returned this."""
    return Told(outcome=SUCCEEDED, backend=backend, digest=_digest(result))


def raised(error: BaseException, backend: str) -> Told:
    """Say that it raised this; what a task raises to speak is no more and no less."""
    name = type(error).__name__
    return Told(outcome=name, backend=backend, why=f"{name}: {error}"[:LONGEST_WHY])


def _digest(result: Any) -> str:
    """Return the same for equal results in every process; empty where JSON cannot carry it."""
    try:
        return digest(result)
    except Exception as error:  # a result may be anything, and its task has run
        log.debug("a result of type %s is not compared: %r", type(result).__name__, error)
        return ""
