"""Backend: an engine behind our protocol, and how one is found by name.

The engine carries, the core decides: a backend publishes native messages, takes them to a process, runs an attempt
inside the engine's own hooks, and acknowledges. Spans are seconds unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

import msgspec

from .definition import Definitions
from .errors import BackendNotInstalled, ConfigError, NotSupported, nearest
from .leftovers import Leftovers
from .message import Message
from .native import Inventory
from .outcome import Outcome
from .store import Held, Store

GROUP = "taskbridge.backends"

#: How long what a worker has fetched stays hidden from others when the worker shows no life: 45 s. With the sweep every
#: five seconds and a sign of life every ten it runs elsewhere within a minute.
VISIBILITY_MS = 45_000


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend on its broker keeps, under our worker or under the engine's own command.

    Args:
        processes: its queues can be read by other processes.
        native_producers: plain producers of the engine can call a task, and tasks can call what plain workers have.
        bands: priority bands are read in order.
        ordered: within a band, what came first is fetched first.
        scan: what waits in a queue can be looked through without taking it.
        rests: what waits in a paused queue stays there; else it moves to the store as it is met.
        poison: bytes that are no message are buried, and cost no other message.
        soft_timeout: a task whose time is over is interrupted from inside.
        hard_timeout: the process of one that stays is ended, and the attempt has failed.
        recovery_s: how long until what a killed worker had fetched runs again, seconds.
        patience_s: after so long without an acknowledgement its broker hands a message out again, seconds; 0 is never.
            The copy is recognised.
        max_payload: a ``max_payload`` of so many bytes is kept, whatever the messages are made of: its broker takes
            them as this engine writes them there; 0 is any.
    """

    processes: bool = True
    native_producers: bool = True
    bands: bool = True
    ordered: bool = True
    scan: bool = True
    rests: bool = True
    poison: bool = True
    soft_timeout: bool = True
    hard_timeout: bool = True
    recovery_s: float = 16.0
    patience_s: float = 0.0
    max_payload: int = 0


class Delivery(msgspec.Struct, kw_only=True):
    """A native message in a worker's hands.

    ``message`` is None when the bytes are none; ``problem`` says why. ``envelope`` is the engine's own form.
    ``held`` is set when the store can acknowledge it in ``finish``. ``taken`` is set by whoever begins it, ``early`` by
    who has asked for nothing that the task needs, for a native producer's delay was not over: it is not run then.
    ``withdrawn`` is set by a consumer that has given it back while a task ran for long, or has lost the connection it
    came by: it comes again by itself, is not to be begun, and there is nothing to acknowledge. ``unrecorded`` is set by
    who runs it without the ledger: nobody would recognise a copy, so its acknowledgement waits for others only while
    tasks are short.
    """

    tag: str
    queue: str
    raw: bytes
    message: Message | None = None
    problem: str = ""
    envelope: Any = None
    held: Held | None = None
    taken: bool = False
    early: bool = False
    withdrawn: bool = False
    unrecorded: bool = False


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits in a queue: native messages of all bands, and since when the oldest does.

    ``since_ms`` is unix milliseconds: when the oldest came to be waiting for a worker, as far as the first of each band
    tell; 0 where they do not say. In the future where all have a delay of their engine's own.
    """

    waiting: int
    since_ms: int = 0


class Consumer(Protocol):
    """Takes native messages to one worker process."""

    more: bool
    """Whether the last ``fetch`` left messages behind."""

    @property
    def ears(self) -> Sequence[int]:
        """File descriptors that become readable when something may have come; ``fetch`` reads them. None where whoever
        watches the queues rings a bell. Asked for by whoever is idle, right before it sleeps."""

    def fetch(self, limit: int) -> list[Delivery]:
        """Take up to so many, from all queues in turn, bands in order; each is held under our name."""

    def acknowledge(self, delivery: Delivery) -> None:
        """Let the broker forget it; only for deliveries without ``held``."""

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put what was not begun back to the front of its queue."""

    def serve(self, queues: Sequence[str]) -> None:
        """Take from these of its queues alone from now on. With none, ``fetch`` is not called."""


class Keeper(Protocol):
    """Keeps what worker processes hold, from their supervisor."""

    def beat(self, owners: Sequence[str]) -> None:
        """Say that these workers live."""

    def reclaim(self, owner: str, *, keep: Sequence[str] = (), done: Sequence[str] = ()) -> int:
        """Put what a worker holds back to its queues, but for the tags it keeps and those that are done."""

    def sweep(self) -> int:
        """Reclaim from every worker that showed no life for the visibility time; returns how many."""

    def watch(self, ring: Callable[[], None], stopping: Event) -> None:
        """Call ``ring`` whenever a queue has messages, until stopped; at once, whoever published them."""


class Runner(Protocol):
    """Runs attempts inside the engine's own execution hooks, in one worker process."""

    def start(self) -> None:
        """Send the engine's start-up signals."""

    def run(self, delivery: Delivery, attempt: Callable[[], Outcome]) -> Outcome:
        """Run one attempt inside the hooks; what the hooks themselves raise is an outcome too."""

    def stop(self) -> None:
        """Send the engine's shut-down signals."""


class Backend(Protocol):
    """An engine on a broker. Constructed with its name, its broker's URL and the ``Place`` it has in the settings."""

    name: str
    engine: str
    capabilities: Capabilities
    """Under our worker."""
    own_command: Capabilities
    """Under the engine's own command."""

    def publish(self, messages: Sequence[Message], *, kept: bool = False, front: bool = False) -> None:
        """Hand messages to the broker, a thousand in one trip.

        Args:
            messages: what to publish.
            kept: the store has them already, so a full broker takes them too: they must run for memory to be freed.
            front: they have waited already, for a lock or a limit: they are fetched before what lies in the queue, the
                first of them first.

        Raises:
            BrokerUnavailable: no answer; the messages may or may not be there.
            StoreFull: the broker is out of memory.
        """

    def depth(self, queue: str) -> int:
        """How many native messages wait in the queue, all bands."""

    def levels(self, queues: Sequence[str]) -> list[Level]:
        """How much waits in each of these queues, without taking it: one look at all of them, in a few trips.

        Raises:
            BrokerUnavailable: no answer.
        """

    def scan(self, queue: str, limit: int) -> Iterator[Message]:
        """Look through what waits in the queue, up to so many, without taking it; nothing without ``scan``."""

    def doubts(self, queues: Sequence[str]) -> list[str]:
        """Say what is amiss with how these queues are set up on the broker, each with what to change.

        Raises:
            BrokerUnavailable, ConfigError: no answer, or nobody may look.
        """

    def consumer(self, queues: Sequence[str], owner: str, store: Store) -> Consumer:
        """Return what takes messages of these queues to the worker called ``owner``."""

    def keeper(self, queues: Sequence[str]) -> Keeper:
        """Return what keeps the workers of these queues."""

    def leftovers(self, queues: Sequence[str], owner: str, store: Store, visibility_s: float | None) -> Leftovers:
        """Return what a drain called ``owner`` moves what lies in these queues with.

        Args:
            queues: which.
            owner: a name that nobody else has.
            store: what takes the messages over.
            visibility_s: after how long without a sign of life what the engine's own workers hold is nobody's; None is
                as the engine has it.

        Raises:
            NotSupported: the broker shows nothing without handing it out.
        """

    def runner(self, definitions: Definitions) -> Runner:
        """Return what runs these tasks inside the engine's hooks; imports the engine."""

    def inventory(self) -> Inventory:
        """Return what of the engine's own is declared in this process; imports the engine."""

    def close(self) -> None:
        """Give the connections back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a backend stands: what its constructor is handed.

    ``queues`` are the URLs of queues that the broker is not asked for, by name.
    """

    name: str
    broker_url: str = field(repr=False)
    namespace: str
    queue_prefix: str = ""
    queues: Mapping[str, str] = field(default_factory=dict)


def load(engine: str, place: Place) -> Backend:
    """Find an engine's backend by entry point and construct it.

    Raises:
        ConfigError: no backend of that name is known.
        BackendNotInstalled: it is known, and its engine's package is missing.
    """
    from importlib.metadata import entry_points  # slow to import, and a producer may never need it

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if engine not in found:
        raise ConfigError(
            f"no backend is called {engine!r}{nearest(engine, found or ['celery', 'dramatiq', 'memory'])}"
        )
    try:
        backend: Backend = found[engine].load()(place)
    except ModuleNotFoundError as error:
        raise _not_installed(engine, error) from error
    return backend


def runner_of(backend: Backend, definitions: Definitions) -> Runner:
    """Return what runs these tasks inside the engine's hooks.

    Raises:
        BackendNotInstalled: the engine's package is missing.
        NotSupported: the engine cannot have one of the tasks or queues.
    """
    try:
        return backend.runner(definitions)
    except ModuleNotFoundError as error:
        raise _not_installed(backend.engine, error) from error
    except ValueError as error:
        raise NotSupported(f"the engine {backend.engine!r} does not take these tasks: {error}") from error


def inventory_of(backend: Backend) -> Inventory:
    """Return what of the engine's own is declared in this process.

    Raises:
        BackendNotInstalled: the engine's package is missing.
    """
    try:
        return backend.inventory()
    except ModuleNotFoundError as error:
        raise _not_installed(backend.engine, error) from error


def _not_installed(engine: str, error: ModuleNotFoundError) -> BackendNotInstalled:
    return BackendNotInstalled(
        f"the backend {engine!r} needs the package {error.name!r}: pip install 'taskbridge[{engine}]'"
    )
