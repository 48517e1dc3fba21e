"""What would be wrong with a rule: where it leads, what it leaves nothing to, and who would take the messages.

Known is what live workers announce, and what is declared here. A rule that comes to take less is never held up: what
leads away from an engine must not wait for that engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from ..announcement import Announcement, Known, known_of
from ..backend import Backend, runner_of
from ..config import Settings
from ..definition import Definitions
from ..errors import ConfigError, NotSupported, nearest
from ..policies.payload import refuse_payload
from ..policies.timeout import refuse_unkept
from ..routing.rules import Rule, fields_in
from ..routing.table import Table

#: How many names are told of a fault that many have.
FEW = 5


class Landscape(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule is checked against: the settings, the workers that live, and the tasks that are declared here."""

    settings: Settings
    backend: Callable[[str], Backend]
    workers: Sequence[Announcement]
    definitions: Definitions

    def tasks(self) -> dict[str, Known | None]:
        """All tasks, by name; None where only the name is known: a worker of a release before routes has it."""
        found: dict[str, Known | None] = {}
        for worker in self.workers:
            found |= {task: worker.known.get(task) or found.get(task) for task in worker.tasks}
        return found | known_of(self.definitions, self.settings.timeouts)

    def matched(self, rule: Rule) -> dict[str, Known | None]:
        """Those whose messages a rule may take, but for what one call says of its queue and tags."""
        return {
            task: known
            for task, known in self.tasks().items()
            if (rule.matches(task, known.queue, known.tags) if known else rule.matches(task, rule.queue, [rule.tag]))
        }

    def parameters(self, task: str) -> set[str]:
        """All arguments that a task is known to take, and ``**`` where it takes any."""
        named = {name for worker in self.workers for name in worker.tasks.get(task, ())}
        named |= {name for worker in self.workers if task in worker.known for name in worker.known[task].positional}
        if task in self.definitions:
            arguments = self.definitions[task].arguments
            named |= {*arguments.names, *(["**"] if arguments.takes_any_keyword else [])}
        return named

    def serving(self, backend: str) -> list[Announcement]:
        """The workers that live on a backend, also by another name for the same engine and broker."""
        return [worker for worker in self.workers if any(self.same(name, backend) for name in worker.backends)]

    def names_of(self, backend: str) -> list[str]:
        """All names that settings and workers have for a backend's engine and broker."""
        known = [*self.settings.backend_names, *(name for worker in self.workers for name in worker.backends)]
        return [backend, *(name for name in dict.fromkeys(known) if name != backend and self.same(name, backend))]

    def same(self, one: str, other: str) -> bool:
        """Whether two names are of one engine on one broker; not where one is not known here."""
        try:
            return self.settings.backend_settings(one) == self.settings.backend_settings(other)
        except ConfigError:
            return False


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with a rule.

    One that is ``forcible`` holds up only who does not insist; one that is ``harmless`` is wrong to set, not to have.
    """

    error: ConfigError
    forcible: bool = False
    harmless: bool = False


def refuse(table: Table, rule: Rule, before: Rule | None, landscape: Landscape, *, force: bool = False) -> None:
    """Refuse a rule that would be wrong.

    Args:
        table: with the rule in it.
        rule: the rule.
        before: as it was; None for a new one.
        landscape: what is there.
        force: take what can be insisted on. Defaults to no.

    Raises:
        NotSupported: its backend cannot keep what a task asks for.
        ConfigError: anything else; each reason is a line of its own.
    """
    raise_for(problems(table, rule, before, landscape), f"{rule} ({rule.id})", force=force)


def raise_for(found: Iterable[Problem], what: str, *, force: bool) -> None:
    """Refuse what has these problems, but for those that are insisted on.

    Raises:
        NotSupported, ConfigError: as ``refuse``.
    """
    found = [one for one in found if not (force and one.forcible)]
    if not found:
        return
    hint = "; --force sets it all the same" if all(one.forcible for one in found) else ""
    kind = NotSupported if any(isinstance(one.error, NotSupported) for one in found) else ConfigError
    lines = dict.fromkeys(str(one.error) for one in found)  # one rule may have the fault of another
    raise kind(f"{what} is refused: " + "\n  ".join(lines) + hint)


def problems(table: Table, rule: Rule, before: Rule | None, landscape: Landscape) -> Iterator[Problem]:
    """Return what is wrong with a rule; as ``refuse``."""
    if is_less(rule, before):
        return
    backend = reached(rule, landscape)
    if isinstance(backend, Problem):
        yield backend
        return
    matched = landscape.matched(rule)
    yield from _shadowed(table, rule, matched)
    yield from where_it_leads(rule, matched, backend, landscape)


def is_less(rule: Rule, before: Rule | None) -> bool:
    """Whether a rule takes no more than it did."""
    same = before is not None and (before.match, before.to, before.key) == (rule.match, rule.to, rule.key)
    return same and before is not None and rule.share <= before.share


def reached(rule: Rule, landscape: Landscape) -> Backend | Problem:
    """Return the backend that a rule leads to, or why it can lead nowhere."""
    try:
        landscape.settings.backend_settings(rule.to)
        backend = landscape.backend(rule.to)
    except ConfigError as error:
        return Problem(error)
    if not backend.capabilities.processes:
        return Problem(
            NotSupported(f"the backend {rule.to!r} lives in one process: what is sent there is gone with it")
        )
    return backend


def where_it_leads(
    rule: Rule, matched: Mapping[str, Known | None], backend: Backend, landscape: Landscape
) -> Iterator[Problem]:
    """Return what is wrong with sending these tasks' messages there, shared so."""
    yield from _unknown(rule, matched, landscape)
    yield from _without_key(rule, matched, landscape)
    yield from _unkept(backend, matched, landscape)
    if rule.share > 0:
        yield from _unserved(rule, matched, landscape)


def taken(task: str, queue: str, workers: Sequence[Announcement]) -> bool:
    """Whether one of these workers takes a task from a queue; from any where that is not known, and empty."""
    return any(task in one.tasks and (not queue or queue in one.queues) for one in workers)


def left_nothing(table: Table, rule: Rule) -> list[Rule]:
    """Return the rules behind this one that it leaves nothing to."""
    behind = table.rules[table.rules.index(rule) + 1 :]
    return [other for other in behind if rule.shadows(other)]


def _shadowed(table: Table, rule: Rule, matched: Mapping[str, Known | None]) -> Iterator[Problem]:
    """Rules before it that leave nothing: whatever comes, or of all tasks that are known."""
    before = [other for other in table.rules[: table.rules.index(rule)] if other.share > 0 and other.exhausts(rule)]
    if rule.share <= 0:
        return
    for other in before:
        if other.shadows(rule):
            text = f"it can never match: {other} ({other.id}) stands before it and leaves nothing"
            yield Problem(ConfigError(text), harmless=True)
            return
    taken = {task: _first(before, task, known) for task, known in matched.items()}
    ids = sorted({other.id for other in taken.values() if other})
    if taken and all(taken.values()):
        text = f"nothing is left of {few(list(taken))}, by {', '.join(ids)} before it: no other known task matches"
        yield Problem(ConfigError(text), forcible=True, harmless=True)


def _first(rules: Sequence[Rule], task: str, known: Known | None) -> Rule | None:
    return next((rule for rule in rules if known and rule.matches(task, known.queue, known.tags)), None)


def _unknown(rule: Rule, matched: Mapping[str, object], landscape: Landscape) -> Iterator[Problem]:
    if matched:
        return
    tasks = landscape.tasks()
    hint = nearest(rule.task, tasks) if tasks and rule.task else "" if tasks else ": none lives"
    named = f"the task {rule.task!r}" if rule.task and "*" not in rule.task and rule.task not in tasks else ""
    yield Problem(ConfigError(f"no live worker announces {named or 'a task of ' + rule.what}{hint}"), forcible=True)


def _without_key(rule: Rule, matched: Mapping[str, object], landscape: Landscape) -> Iterator[Problem]:
    if not rule.key:
        return
    lacking = []
    for task in matched:
        parameters = landscape.parameters(task)
        if "**" not in parameters and not parameters.issuperset(fields_in(rule.key)):
            lacking.append(task)
    if lacking:
        text = f"{few(lacking)} lack arguments of {rule.key}: their messages would be shared by their ids"
        yield Problem(ConfigError(text), forcible=True)


def _unkept(backend: Backend, matched: Mapping[str, Known | None], landscape: Landscape) -> Iterator[Problem]:
    """What the tasks ask for and the backend cannot keep, under our worker."""
    where = f"the backend {backend.name!r}"
    try:
        refuse_payload(landscape.settings.max_payload, backend.capabilities, where)
    except NotSupported as error:
        yield Problem(error)
    for task, known in matched.items():
        try:
            if known is not None:
                refuse_unkept(known.timeouts, backend.capabilities, task, where)
        except NotSupported as error:
            yield Problem(error)
    try:
        declared = {task: landscape.definitions[task] for task in matched if task in landscape.definitions}
        if declared:
            runner_of(backend, declared)
    except ConfigError as error:
        yield Problem(error)


def _unserved(rule: Rule, matched: Mapping[str, Known | None], landscape: Landscape) -> Iterator[Problem]:
    """Messages that nobody would take. The engines' own commands announce nothing."""
    serving = landscape.serving(rule.to)
    if not serving:
        text = f"no live worker serves the backend {rule.to!r}: nobody would take the messages"
        yield Problem(ConfigError(text), forcible=True)
        return
    lost = []
    for task, known in matched.items():
        queue = rule.queue or (known.queue if known else "")
        if not taken(task, queue, serving):
            lost.append(f"{task} of queue {queue}" if queue else task)
    if lost:
        text = f"no live worker on {rule.to!r} takes {few(lost)}: nobody would take the messages"
        yield Problem(ConfigError(text), forcible=True)


def few(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(sorted(names)[:FEW]) + more
