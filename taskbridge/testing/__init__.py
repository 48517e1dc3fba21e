"""For those who test tasks, stores or backends. The suites need pytest and are imported by their own names."""

from __future__ import annotations

from .fakes import FakeClock, a_message

__all__ = ["FakeClock", "a_message"]
