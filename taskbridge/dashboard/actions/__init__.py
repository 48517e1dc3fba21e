"""The actions. One file for each kind of thing that is acted on."""

from __future__ import annotations

from ..action import Action
from . import control, dead, limits, locks, migrations, runs, schedules, workers

ACTIONS: tuple[Action, ...] = (
    *control.ACTIONS,
    *dead.ACTIONS,
    *limits.ACTIONS,
    *locks.ACTIONS,
    *migrations.ACTIONS,
    *runs.ACTIONS,
    *schedules.ACTIONS,
    *workers.ACTIONS,
)
