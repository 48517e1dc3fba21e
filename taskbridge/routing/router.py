"""Router: asks the route table where a message goes. The only part of routing that reads the store, and the time.

The table is read at most once a second, and what was read began to be no more than a second ago: a change holds for
every message that is sent a second after it. No message waits for the store longer than one short read, and after a
read that failed none is tried for a while: until then the last table that was seen holds, or the settings alone.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

import msgspec

from ..clock import Clock
from ..config import Settings
from ..definition import Definition, Definitions
from ..errors import ConfigError, DecodeError, TaskbridgeError
from ..message import Message
from ..store.versions import Version
from .keys import has_all, key_of_call, key_of_message
from .rules import Rule, fields_in, place_of_key
from .shares import route_by_settings
from .table import decode

log = logging.getLogger("taskbridge")

#: How long a table that was read holds, seconds.
TTL_S = 1.0

#: How long to leave a store alone that did not answer: the first time, and at most, doubling in between. Seconds.
PAUSE_S, LONGEST_PAUSE_S = 1.0, 5.0

#: How many kinds of messages are remembered with the rules for them, and how many remarks that were made.
MOST_KINDS = 4_096

#: Returns the newest table, or None where it is of the version that is known.
Read = Callable[[int], Version | None]

#: Whether a task that is not declared here is known to be safe to shadow.
Safe = Callable[[str], bool]

#: Returns the names of a task's positional parameters, as far as they are known.
Positional = Callable[[str], Sequence[str]]


class Candidates(msgspec.Struct, frozen=True):
    """The rules that take a kind of message now, and what its calls are stamped by: their shares change.

    ``templates`` are those of the keys of all rules that match, with the arguments that each names.
    """

    rules: tuple[Rule, ...] = ()
    templates: tuple[tuple[str, tuple[str, ...]], ...] = ()


NONE = Candidates()


class Router:
    """Says where messages go; one for all threads of a process, and for its forks.

    Args:
        settings: what holds where no rule takes a message.
        clock: paces the reading.
        read: reads the table.
        usable: raises ConfigError for a backend that this process cannot reach.
        definitions: the tasks that are declared here.
        positional: for tasks that are not.
        safe: for those, too. Defaults to none being safe.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        read: Read,
        usable: Callable[[str], object],
        definitions: Definitions,
        positional: Positional = lambda task: (),
        safe: Safe = lambda task: False,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._read = read
        self._usable = usable
        self._definitions = definitions
        self._positional = positional
        self._safe = safe
        self._seen = Version()
        self._known = -1
        self._rules: tuple[Rule, ...] = ()
        self._shadows: dict[str, Rule] = {}
        self._same: dict[tuple[str, str], bool] = {}
        #: Whether any message may have a copy, by the table as ``route`` has seen it.
        self.has_shadows = False
        self._closed: set[str] = set()
        self._kinds: dict[tuple[str, str, tuple[str, ...]], Candidates] = {}
        self._until_s = float("-inf")
        self._pause_s = 0.0
        self._turn = threading.RLock()  # a signal's handler may send in the middle of a read
        self._pid = os.getpid()
        self._told: set[tuple[str, str]] = set()

    def knowing(self, positional: Positional, safe: Safe = lambda task: False) -> Router:
        """Return a router that knows of tasks that are not declared here, too: what stands where, and what is safe."""
        return Router(self._settings, self._clock, self._read, self._usable, self._definitions, positional, safe)

    @property
    def version(self) -> int:
        """Of the table that holds here; 0 where none was ever read."""
        return self._seen.version

    def route(self, message: Message) -> str:
        """Return the name of the backend that carries this message now."""
        by, place = None, 0.0
        for rule in self._candidates(message.task, message.queue, message.tags).rules:
            if rule.share < 100 and rule.key != by:
                by, place = rule.key, place_of_key(self._key(rule.key, message))
            if (rule.share >= 100 or place < rule.share) and not (message.bound and self._is_foreign(rule.to, message)):
                return rule.to
        return route_by_settings(message, self._settings)

    def shadow_of(self, message: Message, carrier: str) -> Rule | None:
        """Return the shadow that has a copy of this message, which ``carrier`` carries; None for most.

        It takes the places from 100 down, where a route takes those from 0 up. What is handed to an engine again has
        had its copy, and what only its engine's producer can make has none.
        """
        shadow = self._shadows.get(message.task)
        if shadow is None or message.seq > 1 or message.engine or self._is_same(shadow.to, carrier):
            return None
        if not self._is_safe(message.task):
            return None
        if shadow.share < 100 and place_of_key(self._key(shadow.key, message)) < 100 - shadow.share:
            return None
        return shadow

    def keys_of(
        self,
        definition: Definition,
        queue: str,
        tags: tuple[str, ...],
        sent: tuple[msgspec.Raw, msgspec.Raw],
        *,
        filled: bool = False,
    ) -> dict[str, str] | None:
        """Return the keys of a call by the templates of the rules that may take it; None for none.

        Args:
            definition: what is called.
            queue: where to.
            tags: of the call.
            sent: its arguments as JSON, positional and by name.
            filled: its first argument is filled in later, and what is made of that is not known yet.
        """
        candidates = self._candidates(definition.name, queue, tags)
        if not candidates.templates:
            return None
        arguments = definition.arguments
        later = arguments.positional[:1] if filled else ()
        found = {}
        for template, names in candidates.templates:
            if not later or later[0] not in names:
                key = key_of_call(template, arguments, *sent)
                if key is not None:
                    found[template] = key
        return found or None

    def _is_same(self, one: str, other: str) -> bool:
        """Whether two names are of one engine on one broker."""
        if one == other:
            return True
        known = self._same.get((one, other))
        if known is None:
            settings = self._settings
            known = settings.backend_settings(one) == settings.backend_settings(other)
            self._same[one, other] = known
        return known

    def _is_safe(self, task: str) -> bool:
        """Whether its body may run twice, as far as it is known here; if it may not, that is said once."""
        definition = self._definitions.get(task)
        safe = self._safe(task) if definition is None else definition.options.shadow_safe
        if not safe and (task, "") not in self._told and len(self._told) < MOST_KINDS:
            self._told.add((task, ""))
            log.warning("%s is to be shadowed and is not known here to be shadow_safe: it has no copies", task)
        return safe

    def _is_foreign(self, name: str, message: Message) -> bool:
        """Whether a backend is of another engine than a message is bound to: what follows it there would be lost."""
        return self._settings.backend_settings(name).engine != message.engine

    def _key(self, template: str, message: Message) -> str:
        """What a share is sticky by: as the message was stamped, else of its arguments, else its id."""
        if not template:
            return message.id
        key = message.route_keys.get(template) if message.route_keys else None
        if key is None:
            definition = self._definitions.get(message.task)
            if definition is not None:
                key = key_of_call(template, definition.arguments, message.args, message.kwargs)
            else:
                positional = self._positional(message.task) if message.args != b"[]" else ()
                key = key_of_message(template, positional, message.args, message.kwargs)
        return message.id if key is None else key

    def _candidates(self, task: str, queue: str, tags: tuple[str, ...]) -> Candidates:
        """The rules that may take messages of this kind, by the table as it is now."""
        if self._clock.monotonic_s() >= self._until_s:
            self._refresh()
        if not (self._rules or self._shadows):
            return NONE
        kinds = self._kinds
        found = kinds.get((task, queue, tags))
        if found is None:
            rules = [rule for rule in self._rules if rule.matches(task, queue, tags)]
            keyed = [*rules, *([self._shadows[task]] if task in self._shadows else [])]
            templates = dict.fromkeys(rule.key for rule in keyed if rule.key and self._has(task, rule.key))
            open_ = tuple(rule for rule in rules if rule.id not in self._closed)
            if len(kinds) >= MOST_KINDS:
                kinds.clear()
            found = kinds[task, queue, tags] = Candidates(open_, tuple((one, fields_in(one)) for one in templates))
        return found

    def _has(self, task: str, template: str) -> bool:
        """Whether a task has what a key is made of, as far as it is known here; if it has not, that is said once."""
        definition = self._definitions.get(task)
        if definition is None or has_all(template, definition.arguments):
            return True
        if (task, template) not in self._told and len(self._told) < MOST_KINDS:
            self._told.add((task, template))
            text = "%s has not all of %s, which routes are sticky by: its message ids are in place of them"
            log.warning(text, task, template)
        return False

    def _refresh(self) -> None:
        """Read the table, one thread at a time; whoever waited for another's answer has it then."""
        if self._pid != os.getpid():  # a fork: who held the turn may not be here
            self._turn, self._pid = threading.RLock(), os.getpid()
        with self._turn:
            began_s = self._clock.monotonic_s()
            if began_s < self._until_s:
                return
            try:
                found = self._read(self._known)
            except TaskbridgeError as error:
                self._wait(error)
                return
            if found is not None:
                self._take(found)
            if self._pause_s:
                log.info("the routes can be read again; version %d holds", self.version)
            self._pause_s, self._until_s = 0.0, began_s + TTL_S

    def _wait(self, error: TaskbridgeError) -> None:
        if not self._pause_s:
            log.warning("the routes cannot be read, and stay as they were (version %d): %s", self.version, error)
        self._pause_s = min(self._pause_s * 2 or PAUSE_S, LONGEST_PAUSE_S)
        self._until_s = self._clock.monotonic_s() + self._pause_s

    def _take(self, found: Version) -> None:
        """Go by another table from now on; one that cannot be read here changes nothing."""
        self._known = found.version
        try:
            table = decode(found.document)
        except DecodeError as error:
            log.error(  # noqa: TRY400
                "version %d of the routes does not hold here, %d still does: %s", found.version, self.version, error
            )
            return
        self._rules, self._closed = table.rules, {rule.id for rule in table.rules if not self._is_open(rule)}
        self._shadows = {shadow.task: shadow for shadow in table.shadows if self._is_open(shadow)}
        self.has_shadows = bool(self._shadows)
        self._kinds = {}
        self._seen = found

    def _is_open(self, rule: Rule) -> bool:
        """Whether a rule takes anything, to where this process can send it."""
        try:
            self._usable(rule.to)
        except ConfigError as error:
            log.error("the route %s is passed over here: %s", rule.id, error)  # noqa: TRY400
            return False
        return rule.share > 0
