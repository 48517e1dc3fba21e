"""The workers that live: what each is and runs, and what operators ask of them through the store.

Who is asked is ``taskbridge worker``, on any machine, and it looks once a second; the engines' own commands announce
nothing and obey nothing. Instants are milliseconds of the store's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..announcement import Announcement, Team, announced
from ..bridge import Bridge
from ..config import MAX_PROCESSES
from ..errors import ConfigError, DecodeError, nearest
from ..message import decode
from ..orders import ORDERS, Orders, Size, called
from ..store import Record
from ..versioning import change, newest
from .audit import action, audited, whoami
from .depths import backend_of

#: How many claims are looked at for what workers run.
LOOKED_AT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A message that a process of a worker runs; ``task`` is empty where the message cannot be read."""

    id: str
    task: str
    queue: str
    backend: str
    attempt: int
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as it announces itself. ``groups`` says of each how many processes it is to have.

    ``asked`` has those that an operator asked for, in place of what it was started with. ``ends`` says that one was
    asked to end. ``since_ms`` is 0 for a worker of a release that obeys no operator.
    """

    name: str
    backends: list[str]
    queues: list[str]
    groups: Mapping[str, Team]
    processes: int
    since_ms: int
    asked: Mapping[str, int] = field(default_factory=dict)
    ends: bool = False
    running: list[Running] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """What a change of a group's size came to: how many processes in which workers, and what nobody serves then."""

    group: str
    processes: int | None
    before: Mapping[str, int]
    unserved: list[str]
    version: int

    @property
    def workers(self) -> list[str]:
        """Those that are asked."""
        return list(self.before)


def workers(bridge: Bridge) -> list[WorkerView]:
    """Return the workers that live, by name, in four trips; what they run is found among the first claims to lapse.

    Raises:
        StoreUnavailable: no answer.
        ConfigError: a newer release wrote what is asked of them.
    """
    found = sorted(announced(bridge.store), key=lambda one: one.name)
    orders = newest(ORDERS, bridge.store)[1]
    claims = bridge.store.browsing.records("running", LOOKED_AT).records
    running = [record for record in claims if record.body]  # code that holds has none
    return [_view(one, orders, running) for one in found]


@audited("workers scale", "{group}", "processes", "worker")
def scale(bridge: Bridge, group: str, processes: int, *, worker: str = "", who: str = "") -> Scaled:
    """Have a group have so many processes: in every worker that has one of this name, now and later, or in one.

    What a process runs it finishes, within the grace time of its worker.

    Args:
        bridge: whose workers.
        group: ``default`` is the group of a worker without groups.
        processes: 0 to 1000; 0 shuts the group down.
        worker: the name of one that lives. Defaults to all.
        who: asks. Defaults to user@host.

    Raises:
        ConfigError: no live worker has such a group, or nobody can have so many.
    """
    if isinstance(processes, bool) or not 0 <= processes <= MAX_PROCESSES:
        raise ConfigError(f"processes: expected a whole number of 0 to {MAX_PROCESSES}, got {processes!r}")
    note = f"{group}: {processes} processes" + (f" in {worker}" if worker else "")
    size = Size(group=group, processes=processes, worker=worker)
    return _resized(bridge, size, lambda orders: orders.sized(size), who, note)


@audited("workers reset", "{group}", "worker")
def reset(bridge: Bridge, group: str, *, worker: str = "", who: str = "") -> Scaled:
    """Have a group have as many processes as its workers were started with.

    Raises:
        ConfigError: as for ``scale``, or nothing was asked for it.
    """

    def without(orders: Orders) -> Orders:
        left = orders.unsized(group, worker)
        if left == orders:
            where = f" in {worker}" if worker else ""
            raise ConfigError(f"nothing was asked for the group {group!r}{where}: it is as it was started")
        return left

    size = Size(group=group, processes=-1, worker=worker)
    return _resized(bridge, size, without, who, f"{group}: as it was started")


def shutdown(bridge: Bridge, names: Sequence[str], *, who: str = "") -> list[str]:
    """Ask workers to drain and end, as SIGTERM does; whatever starts workers may start others. Returns their names.

    Raises:
        ConfigError: one of them does not live, or obeys no operator.
    """
    who, asked = who or whoami(), list(dict.fromkeys(names))
    with action(bridge.store, who, "workers shutdown", ", ".join(asked)):
        living = {one.name: one for one in announced(bridge.store)}
        for name in asked:
            _obedient(living, name)
        now_ms, note = bridge.store.now_ms(), f"{', '.join(asked)}: to end"[:500]
        change(ORDERS, bridge.store, lambda orders: orders.stopped(asked, now_ms), who=who, note=note)
    return asked


def _resized(bridge: Bridge, size: Size, wanted: Callable[[Orders], Orders], who: str, note: str) -> Scaled:
    living = announced(bridge.store)
    teams = _teams(living, size.group, size.worker)
    done = change(ORDERS, bridge.store, wanted, who=who or whoami(), note=note)
    return Scaled(
        group=size.group,
        processes=None if size.processes < 0 else size.processes,
        before={worker: team.processes for worker, team in teams.items()},
        unserved=[] if size.processes else _left_alone(living, size.group, teams),
        version=done.version,
    )


def _teams(living: Sequence[Announcement], group: str, worker: str) -> dict[str, Team]:
    """Return the groups of this name, by worker.

    Raises:
        ConfigError: there is none.
    """
    if worker:
        living = [_obedient({one.name: one for one in living}, worker)]
    found = {one.name: team for one in living for name, team in one.groups.items() if called(name) == group}
    if not found:
        names = sorted({called(name) for one in living for name in one.groups})
        near = nearest(group, names) if names else "; none lives that obeys operators"
        raise ConfigError(f"no live worker has a group called {group!r}{near}")
    return found


def _obedient(living: Mapping[str, Announcement], name: str) -> Announcement:
    """Return the worker of this name.

    Raises:
        ConfigError: it does not live, or is of a release before there were orders.
    """
    if name not in living:
        raise ConfigError(
            f"no live worker is called {name!r}{nearest(name, living)}; `taskbridge workers list` shows those that "
            "there are. The engines' own commands obey nothing from here: send them SIGTERM"
        )
    if not living[name].groups:
        raise ConfigError(f"the worker {name} is of a release that obeys no operator: send it SIGTERM")
    return living[name]


def _left_alone(living: Sequence[Announcement], group: str, teams: Mapping[str, Team]) -> list[str]:
    """Return the queues that nobody serves once these groups have no processes."""
    served = {queue for one in living for queue in _still_served(one, group if one.name in teams else None)}
    return sorted({queue for team in teams.values() for queue in team.queues} - served)


def _still_served(worker: Announcement, without: str | None) -> Iterator[str]:
    if not worker.groups:
        yield from worker.queues
    for name, team in worker.groups.items():
        if team.processes and called(name) != without:
            yield from team.queues


def _view(worker: Announcement, orders: Orders, running: Sequence[Record]) -> WorkerView:
    sizes = {called(name): orders.size(name, [worker.name]) for name in worker.groups}
    return WorkerView(
        name=worker.name,
        backends=worker.backends,
        queues=worker.queues,
        groups={called(name): team for name, team in worker.groups.items()},
        processes=worker.processes,
        since_ms=worker.since_ms,
        asked={name: size for name, size in sizes.items() if size is not None},
        ends=orders.stops_one_of([worker.name]),
        running=[_running(one) for one in running if one.claim.startswith(f"{worker.name}.")],
    )


def _running(record: Record) -> Running:
    return Running(
        id=record.id,
        task=_task(record.body),
        queue=record.queue,
        backend=backend_of(record.claim),
        attempt=record.attempt,
        since_ms=record.begun_ms,
    )


def _task(body: bytes) -> str:
    try:
        return decode(body).task
    except DecodeError:
        return ""
