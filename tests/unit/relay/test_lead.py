"""A change of leader is no outage of the store."""

from __future__ import annotations

from taskbridge.relay.loop import LEAD_MS, PATIENCE_S
from taskbridge.store import GAP_MS


def test_a_change_of_leader_is_no_gap():
    """The next leader sweeps before the gap after which claims are left alone for a lease."""
    assert LEAD_MS + 2 * PATIENCE_S * 1000 < GAP_MS
