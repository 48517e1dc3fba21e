"""Evidence: what two sides did with the same tasks, and whether one is worse.

``gatherer`` counts in each process that runs tasks and tells the store (``store.evidence``); ``judge`` is pure.
"""

from __future__ import annotations

from ..store.evidence import Slice
from .judge import Bounds, Figure, Verdict, judge
from .sample import Sample

__all__ = ["Bounds", "Figure", "Sample", "Slice", "Verdict", "judge"]
