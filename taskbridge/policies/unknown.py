"""Decide what becomes of a message with keyword arguments that this release's function does not have.

Dropping ``currency="EUR"`` would book dollars, so the message waits for a newer worker unless the task says otherwise.
"""

from __future__ import annotations

import logging

from ..options import UnknownArgs
from ..outcome import Ended, Outcome, Parked

log = logging.getLogger("taskbridge")


def judge_unknown(unknown: tuple[str, ...], task: str, policy: UnknownArgs) -> Outcome | None:
    """Return the outcome, or None to run it without them.

    Args:
        unknown: the names, sorted.
        task: whose they would be.
        policy: the task's ``unknown_args``.
    """
    names = ", ".join(unknown)
    if policy == "park":
        return Parked(why=f"{task} has no argument {names} in this release", missing=unknown)
    if policy == "fail":
        return Ended(how="dead", why=f"{task} has no argument {names}")
    log.warning("%s has no argument %s: dropped, as its unknown_args says", task, names)
    return None
