"""The relay: moves what is due from the store to an engine. One file per duty, one loop."""

from __future__ import annotations

from ..bridge import Bridge
from .due import PublishDue
from .loop import Duty, Relay
from .lost import SweepClaims, SweepShelves
from .parked import ReleaseParked


def relay_of(bridge: Bridge, owner: str) -> Relay:
    """Return a relay of the bridge's namespace with all its duties."""
    keepers = [bridge.backend(name).keeper([]) for name in _kept(bridge)]
    duties = [
        Duty(name="publish what is due", run=PublishDue(bridge.sender), every_s=0.0),
        Duty(name="sweep lapsed claims", run=SweepClaims(bridge.store), every_s=0.5),
        Duty(name="sweep shelves of lost workers", run=SweepShelves(keepers), every_s=5.0),
        Duty(name="release what was parked", run=ReleaseParked(bridge.store), every_s=1.0),
    ]
    return Relay(owner, bridge.store, bridge.clock, duties)


def _kept(bridge: Bridge) -> list[str]:
    """The backends whose shelves are swept: those in the settings, and after a switch the other engine's too."""
    names = bridge.settings.backend_names
    if not bridge.backend(bridge.settings.backend).capabilities.processes:
        return names
    return list(dict.fromkeys([*names, "celery", "dramatiq"]))
