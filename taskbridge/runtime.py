"""What running tasks needs, in one value: handed down, never reached for."""

from __future__ import annotations

import msgspec

from .clock import Clock
from .config import MAX_PAYLOAD_BYTES
from .definition import Definitions
from .events import Events
from .heed import Heed
from .hooks import Hooks
from .options import NO_TIMEOUTS, Timeouts
from .store import Store
from .trace import Trace


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks, and what they run on.

    ``timeouts`` are those of tasks that name none; they are ``enforced`` but in a test that says otherwise.
    ``max_payload`` (bytes) is how much a link of a chain may give to the next one, and how large a message may become
    on its way. ``heed`` hears what is paused, where no supervisor does.
    """

    definitions: Definitions
    store: Store
    clock: Clock
    events: Events
    hooks: Hooks
    trace: Trace = msgspec.field(default_factory=Trace)
    timeouts: Timeouts = NO_TIMEOUTS
    enforced: bool = True
    max_payload: int = MAX_PAYLOAD_BYTES
    heed: Heed = msgspec.field(default_factory=Heed)
