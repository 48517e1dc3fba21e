"""The cases of ``BackendSuite`` about a message that asks to be run again: it stays what it is until it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..message import decode

if TYPE_CHECKING:
    from .backend_suite import Arena

#: For how long the task that polls in vain asks, seconds; it asks every 0.1.
GIVE_UP_AFTER_S = 0.5


class PollingCases:
    """Inherited by ``BackendSuite``."""

    def test_reschedule_spends_no_attempt_and_changes_arguments(self, arena: Arena) -> None:
        """A task that polls stays in its first attempt."""
        sent = arena.tasks["polls"].enqueue(3)

        arena.ended(sent.id)

        assert [(3, 1), (2, 1), (1, 1), (0, 1)] == [(one["left"], one["attempt"]) for one in arena.lines(sent.id)]

    def test_a_poll_is_the_only_one_of_its_kind_until_it_ends(self, arena: Arena, tmp_path: Path) -> None:
        """The same call meanwhile gives the message that polls, under its id; when it is done, another is taken."""
        file = tmp_path / "ready"
        first = arena.tasks["polls_for"].enqueue(str(file))
        arena.until(lambda: len(arena.lines(first.id)) >= 3, "it to have asked three times")
        again = arena.tasks["polls_for"].enqueue(str(file))
        file.touch()
        arena.ended(first.id)
        later = arena.tasks["polls_for"].enqueue(str(file))
        arena.ended(later.id)

        asked = [(one["asked"], one["attempt"]) for one in arena.lines(first.id)]
        assert (first.id, False, True) == (again.id, again.created, later.created)
        assert [(n, 1) for n in range(len(asked))] == asked

    def test_a_poll_is_given_up_at_its_time(self, arena: Arena) -> None:
        """Then it is dead, not failed, with its last arguments; replayed it asks once more, and is dead again."""
        sent_at_ms = arena.clock.now_ms()
        sent = arena.tasks["polls_in_vain"].enqueue(GIVE_UP_AFTER_S)

        letter = arena.ended(sent.id, "DEAD")
        asked = [(one["asked"], one["attempt"]) for one in arena.lines(sent.id)]
        arena.bridge.store.dead.replay(sent.id)
        arena.until(lambda: len(arena.lines(sent.id)) == len(asked) + 1, "one more run")
        arena.ended(sent.id, "DEAD")

        assert f"gave up after 0:00:00.500000: still not ready, begun {len(asked)} times" == letter.why
        assert "in polls_in_vain" in letter.traceback
        assert [(n, 1) for n in range(len(asked))] == asked
        assert f'"asked":{len(asked)}' in bytes(decode(letter.body).kwargs).decode()
        assert 1_000 * GIVE_UP_AFTER_S - 100 <= letter.at_ms + 5 - sent_at_ms
        assert len(asked) + 1 == len(arena.lines(sent.id))
