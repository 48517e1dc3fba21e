"""The relay: moves what is due from the store to an engine. One file per duty, one loop."""

from __future__ import annotations

import msgspec

from ..enqueue import Sender
from ..migration.keeper import MigrationKeeper
from ..routes.signatures import Signatures
from .dead import TellOfTheDead
from .due import ROUND_S, PublishDue
from .loop import Duty, Relay
from .lost import SweepClaims, SweepShelves
from .parked import ReleaseParked
from .periodic import FireTicks, ForgetSchedules
from .resumed import LetOnResumed
from .waiting import LetOut


def relay_of(sender: Sender, owner: str, *, patience_s: float = ROUND_S) -> Relay:
    """Return a relay with all its duties, of the namespace that this sender sends in; it waits so long for brokers."""
    store = sender.store()
    if sender.router is not None:
        known = Signatures(store, sender.clock)
        sender = msgspec.structs.replace(sender, router=sender.router.knowing(known, known.safe))
    tell = TellOfTheDead(sender)
    keepers = [sender.backend(name).keeper([]) for name in _kept(sender)]
    duties = [
        Duty(name="let out what waits at a limit", run=LetOut(store), every_s=0.0),
        Duty(name="let on what is resumed", run=LetOnResumed(store), every_s=0.25),
        Duty(name="fire the ticks of schedules", run=FireTicks(store), every_s=0.0),
        Duty(name="publish what is due", run=PublishDue(sender, patience_s), every_s=0.0),
        Duty(name="sweep lapsed claims", run=SweepClaims(store, tell), every_s=0.5),
        Duty(name="sweep shelves of lost workers", run=SweepShelves(keepers), every_s=5.0),
        Duty(name="release what was parked", run=ReleaseParked(store, tell), every_s=1.0),
        Duty(name="keep migrations going", run=MigrationKeeper(sender), every_s=1.0),
        Duty(name="forget schedules that nobody declares", run=ForgetSchedules(store), every_s=60.0),
    ]
    return Relay(owner, store, sender.clock, duties)


def _kept(sender: Sender) -> list[str]:
    """The backends whose shelves are swept: those in the settings, and after a switch the other engine's too."""
    settings = sender.settings
    if not sender.backend(settings.backend).capabilities.processes:
        return settings.backend_names
    return list(dict.fromkeys([*settings.backend_names, "celery", "dramatiq"]))
