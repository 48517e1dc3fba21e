"""What a worker loads, and the groups of its processes with the queues that each serves."""

from __future__ import annotations

MODULES = ("examples.fintech.imports", "examples.fintech.reports")

#: Bookings and reports are served by both groups, so that no process is idle while there are some.
GROUPS = {
    "money": ("bookings", "balances", "reports"),
    "rest": ("imports", "bookings", "screening", "settlements", "notifications", "reconciliations", "reports"),
}
QUEUES = tuple(sorted({queue for queues in GROUPS.values() for queue in queues}))
