"""How long a round waits for an engine that answers: its hand is a thread, and the machine may be busy."""

from __future__ import annotations

#: Seconds.
PATIENCE_S = 20.0
