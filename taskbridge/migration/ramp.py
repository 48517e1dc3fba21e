"""Decide what a ramp does next, by what is known of both sides: go on, hold, or take it back. Pure.

A step is held for its time at least, and as long as the evidence does not tell that the new side is no worse. What is
told to be worse is taken back at once, whole. The last step of 100 % is the end: nothing is left to compare with.
"""

from __future__ import annotations

import msgspec

from .book import Evidence, Migration, Ramp, Step

#: Nobody is seen to serve the new side for so long: it is taken back. A restart of its workers is shorter.
UNSERVED_MS = 30_000

#: So many messages are to have come to an end on the new side, by its share, and none has: it is stuck.
STUCK = 30


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one look: the evidence since the step began, and since when nobody serves the new side."""

    now_ms: int
    evidence: Evidence | None = None
    unserved_since_ms: int = 0


def decide(migration: Migration, ramp: Ramp, seen: Seen, who: str) -> Migration | None:
    """Return a ramping migration as it is to go on; None where it holds."""
    fault = _fault(migration, ramp, seen)
    if fault:
        step = Step(at_ms=seen.now_ms, who=who, what="taken back", share=0.0, why=fault, evidence=seen.evidence)
        return migration.after(step, state="taken back")
    if ramp.at < 0:
        return _next(migration, ramp, seen, who, "the ramp begins")
    if holds(migration, ramp, seen):
        return None
    return _next(migration, ramp, seen, who, "the new side is no worse")


def holds(migration: Migration, ramp: Ramp, seen: Seen) -> str:
    """Return in words why a ramp stays at its step; empty where it may go on."""
    left_ms = ramp.since_ms + ramp.hold_ms - seen.now_ms
    if left_ms > 0:
        return f"it holds for {(left_ms + 999) // 1000} s more at least"
    if seen.unserved_since_ms:
        return f"no live worker is seen on {migration.target}"
    if seen.evidence is None:
        return "no evidence could be read"
    if seen.evidence.verdict.word != "better_or_equal":
        return "; ".join(seen.evidence.verdict.reasons) or "the evidence does not do yet"
    return ""


def _fault(migration: Migration, ramp: Ramp, seen: Seen) -> str:
    """Why the new side is to be left, if it is."""
    if seen.unserved_since_ms and seen.now_ms - seen.unserved_since_ms >= UNSERVED_MS:
        return f"no live worker has served {migration.target} for {UNSERVED_MS // 1000} s"
    evidence = seen.evidence
    if evidence is None or ramp.at < 0:
        return ""
    verdict = evidence.verdict
    if verdict.word == "worse":
        return "; ".join(verdict.reasons)
    if migration.share < 100 and not verdict.new_ended and seen.now_ms - ramp.since_ms >= ramp.hold_ms:
        expected = verdict.old_ended * migration.share / (100 - migration.share)
        if expected >= STUCK:
            return f"about {expected:.0f} were to run on {migration.target}, and none has come to an end"
    return ""


def _next(migration: Migration, ramp: Ramp, seen: Seen, who: str, why: str) -> Migration:
    share = ramp.next_share
    if share is None:
        step = Step(at_ms=seen.now_ms, who=who, what="ramped", share=migration.share, why=why, evidence=seen.evidence)
        return migration.after(step, state="waiting")
    step = Step(at_ms=seen.now_ms, who=who, what="raised", share=share, why=why, evidence=seen.evidence)
    further = msgspec.structs.replace(ramp, at=ramp.at + 1, since_ms=seen.now_ms)
    return migration.after(step, ramp=further, state="waiting" if share >= 100 else "ramping")
