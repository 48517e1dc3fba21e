"""Every guard of runs bites: without it, in Lua or in Python, a law that is named for it fails."""

from __future__ import annotations

import pytest

from taskbridge.store.memory.claims import MemoryClaims
from taskbridge.store.memory.flow import Flow
from taskbridge.store.memory.needs import Needs
from taskbridge.store.memory.records import Records
from taskbridge.store.memory.runs import MemoryRuns
from tests.servers import RedisServer

from .mutants import Mutant, caught_in_lua, caught_in_python, each, stands_in_lua

MUTANTS = [
    Mutant(
        "test_only_a_claim_that_stands_opens_a_run",
        "a run is opened without its claim",
        ("open_run", " or m.claim ~= ARGV[2] then", " and m.claim ~= ARGV[2] then"),
        (MemoryRuns, "open", "or entry.claim != claim:", "and entry.claim != claim:"),
    ),
    Mutant(
        "test_bounds_that_were_said_first_hold",
        "what was said first is forgotten",
        ("open_run", "if bounds then return is_chunk(m) and bounds end", ""),
        (MemoryRuns, "open", "if message.id not in self._flow.runs:", "if True:"),
    ),
    Mutant(
        "test_next_chunk_exists",
        "the next chunk is not made in that step",
        ("flow", "if id ~= '' and not f[1] then", "if false then"),
        (Flow, "chunk_done", "if told.message and not run.stop:", "if False:"),
    ),
    Mutant(
        "test_next_chunk_exists",
        "a chunk that has a successor ends its run",
        ("flow", "m.part, m.locks, m.same = '', '', nil", "m.locks, m.same = '', nil"),
        (Flow, "follow", "entry.part, entry.locks, entry.same = NO_PART, (), ()", "entry.locks = entry.same = ()"),
    ),
    Mutant(
        "test_last_chunk_ends_the_run",
        "the next chunk is no part of the run",
        ("flow", "'part', m.part,\n", "'part', '',\n"),
        (Flow, "follow", "part=entry.part", "part=NO_PART"),
    ),
    Mutant(
        "test_fork_finish_of_a_lost_claim",
        "finish does not compare claims",
        ("finish", "m.st == 'RUN' and m.claim == claim", "m.st == 'RUN'"),
        (MemoryClaims, "finish", 'entry.state == "RUN" and entry.claim == request.claim', 'entry.state == "RUN"'),
    ),
    Mutant(
        "test_fork_copy_that_outlives",
        "a copy that comes too late opens the run once more",
        ("open_run", "is_chunk(m) and bounds", "bounds"),
        (MemoryRuns, "open", "if entry.part.run != message.id:", "if False:"),
    ),
    Mutant(
        "test_fork_copy_that_outlives",
        "a copy that comes too late enqueues",
        ("flow", "m.claim ~= claim or not run then return 'lost'", "m.claim ~= claim then return 'lost'"),
        (Flow, "refuse", " or not entry.part.run:", ":"),
    ),
    Mutant(
        "test_failed_run_is_there_as_long",
        "a failed run is forgotten as others are",
        ("flow", "if how ~= 'failed' then forget_run(key) end", "forget_run(key)"),
        (Flow, "_run_ended", 'if how != "failed":', "if True:"),
    ),
    Mutant(
        "test_replay_revives_the_run",
        "a replay leaves its run failed",
        ("flow", "redis.call('HSET', key, 'state', 'running', 'error', '', 'planned', now)", ""),
        (Flow, "revive", 'run.planned_ms = "running", "", 0, now_ms', 'run.planned_ms = "failed", "", 0, now_ms'),
    ),
    Mutant(
        "test_pause_is_from_start_to_start",
        "a pause is counted from the end of a chunk",
        ("flow", "math.max(now, tonumber(f[2]) + tonumber(f[3]))", "now + tonumber(f[3])"),
        (Flow, "chunk_done", "run.planned_ms + run.pause_ms", "self._records.now_ms() + run.pause_ms"),
    ),
    Mutant(
        "test_wait_for_the_backlog_is_not_caught_up",
        "a chunk that waited is planned for when it began to wait",
        ("flow", "redis.call('HSET', key, 'planned', string.format('%.0f', at))", ""),
        (Flow, "go_on", "run.planned_ms = at_ms = ", "at_ms = "),
    ),
    Mutant(
        "test_next_chunk_waits_while_too_much_is_open",
        "the backlog lets through one more",
        ("flow", "tonumber(f[3]) > tonumber(f[4])", "tonumber(f[3]) > tonumber(f[4]) + 1"),
        (Flow, "go_on", "0 <= run.max_backlog < run.open", "0 <= run.max_backlog < run.open - 1"),
    ),
    Mutant(
        "test_next_chunk_waits_while_too_much_is_open",
        "the backlog holds back at its bound",
        ("flow", "tonumber(f[3]) > tonumber(f[4])", "tonumber(f[3]) >= tonumber(f[4])"),
        (Flow, "go_on", "0 <= run.max_backlog < run.open", "0 <= run.max_backlog <= run.open"),
    ),
    Mutant(
        "test_every_end_counts_once",
        "the end of a message lets nobody go",
        ("flow", "if kind == 'run' then\n    go_on(id)", "if kind == 'run' then"),
        (Flow, "_count", "self.go_on(self.runs[id])", "pass"),
    ),
    Mutant(
        "test_replayed_member_counts_again",
        "a replay is not counted",
        ("flow", "for _, of in ipairs(parts.tallies) do tally(of, 'failed', -1) end", ""),
        (Flow, "revive", 'self._count(entry.part, "failed", -1)', "pass"),
    ),
    Mutant(
        "test_replayed_member_does_not_revive",
        "a member's replay revives a run that has ended",
        ("flow", "if kind == 'run' then\n    go_on(id)", "if kind == 'run' and by > 0 then\n    go_on(id)"),
        (Flow, "_count", "if by < 0:\n", "if by < 0:\n        for id in part.runs: self.runs[id].ended_ms = 0\n"),
    ),
    Mutant(
        "test_repeated_chunk_",
        "what a chunk has enqueued is not remembered",
        ("flow", "return sent and redis.call('SADD', sent, id) == 0", "return false"),
        (Flow, "sent_before", "return known", "return False"),
    ),
    Mutant(
        "test_next_chunk_enqueues_its_own",
        "what a chunk has enqueued is remembered for the next",
        ("flow", "'DEL', key .. ':sent')\n  redis.call('HSET', key, 'current'", "'HSET', key, 'current'"),
        (Flow, "follow", "run.sent.clear()", "pass"),
    ),
    Mutant(
        "test_zombie_",
        "a claim that does not stand enqueues",
        ("flow", "if m.st ~= 'RUN' or m.claim ~= claim or not run then return 'lost' end", ""),
        (Flow, "refuse", 'if entry.state != "RUN" or entry.claim != within.claim or not entry.part.run:', "if False:"),
    ),
    Mutant(
        "test_chunk_that_runs_obeys_when_it_ends",
        "what comes again does not ask whether its run is paused",
        ("record", "if told == 'paused' and st ~= 'PARKED' then st = 'HELD' end", ""),
        (Records, "redispatch", 'if run and run.paused and state != "PARKED":', "if False:"),
    ),
    Mutant(
        "test_chunk_that_runs_obeys_when_it_ends",
        "the next chunk does not ask whether its run is paused",
        ("flow", "if not f[1] or f[2] or (", "if not f[1] or ("),
        (Flow, "go_on", "if run.paused or 0 <=", "if 0 <="),
    ),
    Mutant(
        "test_chunk_that_runs_obeys_when_it_ends",
        "what the far side refused waits for its limit through a pause",
        ("record", "if told == 'paused' and st ~= 'PARKED' then", "if told == 'paused' and st ~= 'THROTTLED' then"),
        (Records, "redispatch", 'and run.paused and state != "PARKED":', 'and run.paused and state != "THROTTLED":'),
    ),
    Mutant(
        "test_resumed_chunk_is_not_early",
        "a resume forgets what was waited for",
        ("record", "'due', string.format('%.0f', at))", "'due', 0)"),
        (MemoryRuns, "steer", 'entry.at_ms if entry.state == "DELAYED" else', 'entry.at_ms if entry.state == "" else'),
    ),
    Mutant(
        "test_cancelled_run_ends_with_the_chunk",
        "what comes again does not ask whether its run is to end",
        ("record", "if told == 'stop' then", "if false then"),
        (Records, "redispatch", "if run and run.stop:", "if False:"),
    ),
    Mutant(
        "test_cancelled_run_ends_with_the_chunk",
        "the next chunk does not ask whether its run is to end",
        ("flow", "if id ~= '' and not f[1] then", "if id ~= '' then"),
        (Flow, "chunk_done", "if told.message and not run.stop:", "if told.message:"),
    ),
    Mutant(
        "test_cancelled_chunk_that_fails",
        "a replay goes on being cancelled",
        ("flow", "redis.call('HDEL', key, 'ended', 'stop', 'reason')", "redis.call('HDEL', key, 'ended')"),
        (Flow, "revive", "run.stop, run.reason = False, ", "_, run.reason = False, "),
    ),
    Mutant(
        "test_copy_of_a_cancelled_chunk",
        "a copy of a cancelled chunk is forgotten before it comes",
        ("steer_run", "redis.call('PEXPIRE', KEYS[1] .. m.id, LONG_WINDOW)", ""),
        (MemoryRuns, "steer", "self._records.now_ms() + LONG_WINDOW_MS", "self._records.now_ms() + 7_200_000"),
    ),
    Mutant(
        "test_only_what_is_paused_or_has_failed",
        "what waits for its backlog is rewound",
        ("rewind_run", "(f[2] and (m.st == 'HELD' or m.st == 'PARKED'))", "(m.st == 'HELD' or m.st == 'PARKED')"),
        (MemoryRuns, "rewind", "(run.paused and entry.state in", "(entry.state in"),
    ),
    Mutant(
        "test_paused_chunk_that_runs_is_not_rewound",
        "what runs is rewound",
        ("rewind_run", "(f[2] and (m.st == 'HELD' or m.st == 'PARKED'))", "f[2]"),
        (MemoryRuns, "rewind", 'run.paused and entry.state in {"HELD", "PARKED"}', "run.paused"),
    ),
    Mutant(
        "test_rewind_of_what_has_gone_on",
        "a rewind does not ask which chunk stands",
        ("rewind_run", "f[1] ~= ARGV[2] or not stands", "not stands"),
        (MemoryRuns, "rewind", "run.current != current or not stands", "not stands"),
    ),
    Mutant(
        "test_failed_run_goes_on_from_elsewhere",
        "the chunk that stood is left among the dead",
        ("rewind_run", "settle_done(m, nil, 'rewound')", ""),
        (MemoryRuns, "rewind", 'self._records.settle_done(entry, why="rewound")', "pass"),
    ),
    Mutant(
        "test_lock_is_the_runs",
        "a chunk that comes again lets go of its locks",
        ("record", "if st ~= 'LOCKED' then kept = m.locks end", ""),
        (Records, "redispatch", 'entry.locks if run and state != "LOCKED" else ()', "()"),
    ),
    Mutant(
        "test_lock_is_the_runs",
        "a run's reservation lapses",
        ("record", "redis.call('ZADD', KEYS[15], '+inf', m.id)", "redis.call('ZADD', KEYS[15], now + LEASE, m.id)"),
        (Needs, "let_go", 'lock.holders[entry.id] = ""', 'lock.holders[entry.id], self.reserved[entry.id] = "", 0'),
    ),
    Mutant(
        "test_own_continuation_is_never_refused",
        "the next chunk has not the locks of its run",
        (
            "flow",
            "'HSET', KEYS[13] .. lock.key, id, '')\n      redis.call('ZADD', KEYS[15]",
            "'ZADD', KEYS[15]",
        ),
        (Needs, "hand_over", 'holders[following.id] = ""', "pass"),
    ),
    Mutant(
        "test_broken_lock_is_waited_for",
        "who waits for one lock keeps the others",
        ("record", "if st ~= 'LOCKED' then kept = m.locks end", "kept = m.locks"),
        (Records, "redispatch", 'entry.locks if run and state != "LOCKED" else ()', "entry.locks if run else ()"),
    ),
    Mutant(
        "test_newer_release_asks_for_another_lock",
        "another release loses the run its locks",
        ("begin", "let_go(m, is_chunk(m) and locks)", "let_go(m)"),
        (MemoryClaims, "_wait_or_run", "request.locks if entry.part.run else ()", ""),
    ),
    Mutant(
        "test_replayed_chunk_that_waits_for_its_lock",
        "what is kept is not asked whether it is had",
        (
            "record",
            "if keeps[lock.key] and redis.call('HEXISTS', KEYS[13] .. lock.key, m.id) == 1 then",
            "if keeps[lock.key] then",
        ),
        (Needs, "let_go", "if need.key in keys and entry.id in lock.holders:", "if need.key in keys:"),
    ),
    Mutant(
        "test_key_is_free_when_the_run_ends",
        "the next chunk has not the keys of its run",
        ("flow", "redis.call('HSET', KEYS[1] .. id, 'same', m.same)", ""),
        (Flow, "follow", "following.same = entry.locks, entry.rates, ", "_ = entry.locks, entry.rates, "),
    ),
    Mutant(
        "test_key_is_free_when_the_run_ends",
        "a key stands for its first chunk alone",
        ("record", "return string.match(m.part, '^run ([^\\n]+)') or m.id end", "return m.id end"),
        (Records, "free_same", "(entry.part.run or entry.id)", "entry.id"),
    ),
    Mutant(
        "test_replayed_run_has_its_key_again",
        "a replayed run has no key",
        ("flow", "redis.call('SET', KEYS[23] .. taken, parts.run, 'NX', 'PX', LAST_RESORT)", ""),
        (Flow, "revive", "self._records.standing[one.key] = entry.part.run, now_ms + LAST_RESORT_MS", "pass"),
    ),
    Mutant(
        "test_replayed_run_has_its_key_again",
        "a replayed run takes its key from another",
        ("flow", "parts.run, 'NX', 'PX', LAST_RESORT)", "parts.run, 'PX', LAST_RESORT)"),
        (Flow, "revive", 'if one.until == "until_done" and free:', 'if one.until == "until_done":'),
    ),
    Mutant(
        "test_key_of_a_run_that_goes_on",
        "a run of a month loses its key",
        ("flow", "then redis.call('PEXPIRE', KEYS[23] .. taken, LAST_RESORT) end", "then end"),
        (Flow, "follow", "records.standing[one.key] = id, records.now_ms() + LAST_RESORT_MS", "pass"),
    ),
    Mutant(
        "test_until_started_ends_with_the_first_chunk",
        "a chunk that was not entered takes its run's key again",
        ("record", "if is_chunk(m) then return end\n", ""),
        (Records, "keep_same", " and not entry.part.run:", ":"),
    ),
]


@each(MUTANTS)
def test_mutant_in_python_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory."""
    assert caught_in_python(mutant, monkeypatch)


@each(MUTANTS)
def test_mutant_in_lua_can_be_made(mutant: Mutant) -> None:
    """What it takes out stands in its script; the soak runs the laws without it."""
    assert stands_in_lua(mutant)


@pytest.mark.soak
@pytest.mark.service("redis")
@each(MUTANTS)
def test_mutant_in_lua_is_caught(mutant: Mutant, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Redis."""
    assert caught_in_lua(mutant, redis_server, monkeypatch)
