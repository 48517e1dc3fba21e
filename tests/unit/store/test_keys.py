"""The keys of the store are its schema: a change here is a deliberate one, and raises ``SCHEMA``."""

from __future__ import annotations

from taskbridge.store.keys import SCHEMA, Keys

#: In the order in which scripts that begin with record.lua are given them: KEYS[1] to KEYS[25].
RECORD = [
    "{bank}:m:",
    "{bank}:leases",
    "{bank}:due",
    "{bank}:dead",
    "{bank}:parked",
    "{bank}:group:",
    "{bank}:groups",
    "{bank}:counts",
    "{bank}:bell",
    "{bank}:fence",
    "{bank}:pulse",
    "{bank}:quiet",
    "{bank}:lock:",
    "{bank}:lock-wait:",
    "{bank}:reserved",
    "{bank}:rate:",
    "{bank}:rate-wait:",
    "{bank}:rate-out:",
    "{bank}:pacing",
    "{bank}:limits",
    "{bank}:turn",
    "{bank}:wake:",
    "{bank}:unique:",
    "{bank}:flow:",
    "{bank}:paused",
]

#: In the order in which scripts about schedules are given them: the last of their keys.
TIMETABLE = ["{bank}:schedule:", "{bank}:schedules", "{bank}:ticks"]


#: In the order in which add_evidence.lua is given them.
EVIDENCE = ["{bank}:watched", "{bank}:evidence:", "{bank}:told:", "{bank}:attended"]


#: What operators have said.
CONTROL = ["{bank}:ended", "{bank}:record_all", "{bank}:audit"]


def test_schema_is_deliberate() -> None:
    """A store that one release wrote is read by the next unless the number says otherwise."""
    assert "4" == SCHEMA


def test_names_are_deliberate() -> None:
    """Every key, under its namespace as a hash tag."""
    keys = Keys("bank")

    assert RECORD == keys.record
    assert TIMETABLE == keys.timetable
    assert "{bank}:schema" == keys.schema
    assert "{bank}:routes" == keys.routes
    assert EVIDENCE == [keys.watched, keys.evidence, keys.told, keys.attended]
    assert "{bank}:migrations" == keys.migrations
    assert "{bank}:orders" == keys.orders
    assert "{bank}:shadow:" == keys.shadow
    assert CONTROL == [keys.ended, keys.record_all, keys.audit]
    assert "{bank}:history" == keys.history
    assert "{bank}:confirm" == keys.confirm
    assert "{bank}:leader:relay" == keys.leader("relay")
    assert ["{bank}:doc:worker", "{bank}:doc:worker:until"] == keys.documents("worker")
    assert "{bank}:held:celery:host-1" == keys.shelf("celery", "host-1")
    assert "{bank}:held:celery" == keys.owners("celery")


def test_every_name_is_held_here() -> None:
    """A key that is new in ``Keys`` is new here too."""
    keys = Keys("bank")

    named = {value for name, value in vars(keys).items() if not name.startswith("_")}

    versions, others = (
        [keys.routes, keys.migrations, keys.orders],
        [keys.schema, keys.shadow, keys.history, keys.confirm],
    )
    assert {*RECORD, *TIMETABLE, *EVIDENCE, *CONTROL, *versions, *others} == named
    assert {"documents", "leader", "owners", "record", "shelf", "timetable"} == {
        name for name in vars(Keys) if not name.startswith("_")
    }
