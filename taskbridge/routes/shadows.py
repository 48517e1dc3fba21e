"""What would be wrong with a shadow: whether its task may run twice, where its copies go, and who would run them.

As with a rule that routes: what comes to take less is never held up.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..announcement import Known
from ..errors import ConfigError
from ..routing.rules import Rule
from ..routing.table import Table
from .checks import Landscape, Problem, is_less, raise_for, reached, where_it_leads


def refuse_shadow(
    table: Table, shadow: Rule, before: Rule | None, landscape: Landscape, *, force: bool = False
) -> None:
    """Refuse a shadow that would be wrong.

    Args:
        table: with the shadow in it.
        shadow: the shadow.
        before: as it was; None for a new one.
        landscape: what is there.
        force: take what can be insisted on. Defaults to no.

    Raises:
        NotSupported: its backend cannot keep what the task asks for.
        ConfigError: anything else; each reason is a line of its own.
    """
    found = shadow_problems(table, shadow, before, landscape)
    raise_for(found, f"a shadow of {shadow} ({shadow.id})", force=force)


def shadow_problems(table: Table, shadow: Rule, before: Rule | None, landscape: Landscape) -> Iterator[Problem]:
    """Return what is wrong with a shadow; as ``refuse_shadow``."""
    if is_less(shadow, before):
        return
    backend = reached(shadow, landscape)
    if isinstance(backend, Problem):
        yield backend
        return
    yield from _unsafe(shadow.task, landscape)
    known = {task: known for task, known in landscape.tasks().items() if task == shadow.task}
    yield from where_it_leads(shadow, known, backend, landscape)
    yield from _nothing_to_copy(table, shadow, known.get(shadow.task), landscape)


def _unsafe(task: str, landscape: Landscape) -> Iterator[Problem]:
    """Whoever has the task must say that it may run twice: a release that cannot would run copies as messages."""
    unsafe = [worker.name for worker in landscape.workers if task in worker.tasks and not _is_safe(worker.known, task)]
    declared = landscape.definitions.get(task)
    if declared is not None and not declared.options.shadow_safe:
        unsafe.append("the module that was named")
    if unsafe:
        text = f"{task} is not declared with shadow_safe=True by {', '.join(unsafe)}, or by a release before shadows"
        yield Problem(ConfigError(text))


def _is_safe(known: dict[str, Known], task: str) -> bool:
    return task in known and known[task].shadow_safe


def _nothing_to_copy(table: Table, shadow: Rule, known: Known | None, landscape: Landscape) -> Iterator[Problem]:
    """All that is sent goes to the very backend already."""
    settings = landscape.settings
    queue, tags = (known.queue, known.tags) if known else ("", ())
    carriers = set()
    for rule in table.rules:
        if rule.share > 0 and rule.matches(shadow.task, queue, tags):
            carriers.add(rule.to)
            if rule.share >= 100:
                break
    else:
        share = settings.shares.get(shadow.task)
        carriers |= {settings.backend, *(share.to if share else ())}
    place = settings.backend_settings(shadow.to)
    if all(settings.backend_settings(name) == place for name in carriers if name in settings.backend_names):
        text = f"all messages of {shadow.task} go to {shadow.to!r} already: there is nothing to compare"
        yield Problem(ConfigError(text), forcible=True)
