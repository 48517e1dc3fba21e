"""Every guard of the protocol bites: without it, in Lua or in Python, a law that is named for it fails."""

from __future__ import annotations

import pytest

from taskbridge.store.memory.chains import MemoryChains
from taskbridge.store.memory.claims import MemoryClaims
from taskbridge.store.memory.flow import Flow
from taskbridge.store.memory.needs import Needs
from taskbridge.store.memory.outbox import MemoryOutbox
from taskbridge.store.memory.records import Records
from tests.servers import RedisServer

from .mutants import Mutant, caught_in_lua, caught_in_python, each, stands_in_lua

MUTANTS = [
    Mutant(
        "test_c1_",
        "begin does not compare numbers",
        ("begin", "if m.st and seq < m.seq then", "if false then"),
        (MemoryClaims, "begin", "if entry.state and message.seq < entry.seq:", "if False:"),
    ),
    Mutant(
        "test_c1_",
        "begin's shortest way does not compare numbers",
        ("begin", " or seq < m.seq or", " or"),
        (MemoryClaims, "begin", "if entry.state and message.seq < entry.seq:", "if False:"),
    ),
    Mutant(
        "test_c2_",
        "what goes on keeps its number",
        ("record", "m.seq + 1, group", "m.seq, group"),
        (Records, "redispatch", "entry.seq + 1", "entry.seq"),
    ),
    Mutant(
        "test_c3_",
        "the record is deleted when published",
        ("mark", "redis.call('HSET', KEYS[1] .. id, 'st', 'OUT', ", "redis.call('DEL', KEYS[1] .. id, "),
        (MemoryOutbox, "mark", 'self._records.enter(entry, "OUT", ', "self._records._entries.pop(id, "),
    ),
    Mutant(
        "test_c4_",
        "nobody sweeps what is lapsed",
        ("sweep", "    lost(m)\n", "    redis.call('ZREM', KEYS[2], member)\n"),
        (MemoryClaims, "sweep", "records.lost(entry)", "pass"),
    ),
    Mutant(
        "test_c5_",
        "begin does not know its own claim",
        ("begin", "if m.st == 'RUN' and m.claim == claim then", "if false then"),
        (MemoryClaims, "begin", 'if entry.state == "RUN" and entry.claim == request.claim:', "if False:"),
    ),
    Mutant(
        "test_c6_",
        "finish does not compare claims",
        ("finish", "m.st == 'RUN' and m.claim == claim", "m.st == 'RUN'"),
        (MemoryClaims, "finish", 'entry.state == "RUN" and entry.claim == request.claim', 'entry.state == "RUN"'),
    ),
    Mutant(
        "test_c6_",
        "lose does not compare claims",
        ("lose", "m.st ~= 'RUN' or m.claim ~= ARGV[2]", "m.st ~= 'RUN'"),
        (MemoryClaims, "_standing", 'entry.state == "RUN" and entry.claim == claim', 'entry.state == "RUN"'),
    ),
    Mutant(
        "test_c7_",
        "renewals are not of one claim, if it stands",
        ("renew", "'XX', ", ""),
        (MemoryClaims, "_standing", 'entry.state == "RUN" and entry.claim == claim', 'entry.state == "RUN"'),
    ),
    Mutant(
        "test_c8_",
        "parking keeps the number",
        ("record", "m.seq + 1, group", "m.seq, group"),
        (Records, "redispatch", "entry.seq + 1", "entry.seq"),
    ),
    Mutant(
        "test_c16_",
        "mark does not compare numbers",
        ("mark", " and tonumber(f[2]) == tonumber(ARGV[i + 1])", ""),
        (MemoryOutbox, "mark", " and entry.seq == seq", ""),
    ),
    Mutant(
        "test_c16_",
        "take pops",
        ("take", "redis.call('ZADD', KEYS[3], now + tonumber(ARGV[1]), id)", "redis.call('ZREM', KEYS[3], id)"),
        (MemoryOutbox, "take", "entry.at_ms = ", "entry.at_ms = 10**9 * "),
    ),
    Mutant(
        "test_c17_",
        "every start has the same fence",
        ("begin", "redis.call('INCR', KEYS[10])", "1"),
        (MemoryClaims, "_wait_or_run", "records.fence += 1", "records.fence = 1"),
    ),
    Mutant(
        "test_c18_",
        "every marker has the short window",
        ("look", "and LONG_WINDOW or WINDOW", "and WINDOW or WINDOW"),
        (Records, "settle_done", "LONG_WINDOW_MS if", "WINDOW_MS if"),
    ),
    Mutant(
        "test_c18_",
        "no marker has an end",
        ("look", "redis.call('PEXPIRE', key,", "tostring("),
        (Records, "settle_done", "self.now_ms() + window", "10**15"),
    ),
    Mutant(
        "test_no_claim_is_taken_for_one_lease",
        "a gap in the sweeps goes unnoticed",
        ("sweep", "if away() then", "if false then"),
        (MemoryClaims, "sweep", "if records.away():", "if False:"),
    ),
    Mutant(
        "test_redelivery_leaves_a_lapsed_claim_alone",
        "a redelivery does not ask whether all were away",
        ("begin", "lease < now and not away()", "lease < now"),
        (MemoryClaims, "begin", " and not records.away()", ""),
    ),
    Mutant(
        "test_begun_message_never_expires",
        "what was begun expires",
        ("begin", " and m.starts == 0", ""),
        (MemoryClaims, "begin", " and not entry.starts", ""),
    ),
    Mutant(
        "test_crashes_over_the_limit",
        "crashes are not counted",
        ("record", "m.crashes = m.crashes + 1", ""),
        (Records, "lost", "entry.crashes += 1", "pass"),
    ),
    Mutant(
        "test_what_was_let_out_has_its_token",
        "C9: what was let out is not counted",
        ("record", "rate.weight + ((released or alone) and 0 or out(rate))", "rate.weight"),
        (Needs, "refusing_rate", "need.weight + (0 if released else self._coming(limit))", "need.weight"),
    ),
    Mutant(
        "test_what_was_let_out_has_its_token",
        "C9: begin's shortest way does not look for what was let out",
        ("begin", "redis.call('EXISTS', KEYS[17] .. key, KEYS[18] .. key)", "redis.call('EXISTS', KEYS[17] .. key)"),
        (Needs, "refusing_rate", "need.weight + (0 if released else self._coming(limit))", "need.weight"),
    ),
    Mutant(
        "test_what_was_let_out_and_needs_none",
        "C13: begin's shortest way leaves what a message has of a limit",
        (
            "begin",
            (
                " or m.turn) then return false end\n"
                "  if redis.call('EXISTS', KEYS[25]) == 1 then return false end -- something is paused\n"
                "  if m.locks ~= '' or m.rates ~= '' or ARGV[10]"
            ),
            ") then return false end\n  if ARGV[10]",
        ),
        (MemoryClaims, "_wait_or_run", "if asked != (entry.locks, entry.rates):", "if False:"),
    ),
    Mutant(
        "test_refusal_is_of_one_attempt",
        "a refusal outlives its attempt",
        ("begin", "if m.st or not ARGV[12] then", "if not ARGV[12] then"),
        (Needs, "take", "False, refused", "False, entry.refused or refused"),
    ),
    Mutant(
        "test_lock_is_handed_on",
        "finish's shortest way wakes nobody",
        ("finish", "(lock and redis.call('EXISTS', KEYS[14] .. lock) == 0)", "lock"),
        (Needs, "let_go", "self.admit(need.key)", "pass"),
    ),
    Mutant(
        "test_reserved_lock_is_its_waiters",
        "C11: a lock is freed for its waiter, not reserved",
        ("record", "        redis.call('HSET', KEYS[13] .. lock.key, id, '')\n", ""),
        (Needs, "admit", 'self.locks[need.key].holders[head] = ""', "pass"),
    ),
    Mutant(
        "test_waiter_that_ends_makes_room",
        "C12: what is reserved for one who ends stays so",
        ("record", "m.at, m.released = '', ''\n  for _, lock in ipairs(locks) do admit(lock.key) end\n", ""),
        (Needs, "let_go", "self.admit(need.key)", "pass"),
    ),
    Mutant(
        "test_reservation_that_nobody_uses_lapses",
        "a reservation has no end",
        ("let_out", "redis.call('ZRANGEBYSCORE', KEYS[15], '-inf', now, 'LIMIT', 0, ARGV[1])", "{}"),
        (Needs, "lapse", "until_ms <= self._records.now_ms()", "False"),
    ),
    Mutant(
        "test_who_waits_for_several_is_not_passed_at_any",
        "who waits for several locks waits at the last alone",
        (
            "record",
            "redis.call('ZADD', KEYS[14] .. lock.key, m.turn, m.id)",
            "redis.call('ZADD', KEYS[14] .. 'b', m.turn, m.id)",
        ),
        (Needs, "wait_at", "_waited_for(entry)", "_waited_for(entry)[-1:]"),
    ),
    Mutant(
        "test_waiting_is_first_come",
        "a fresh start passes those that wait",
        ("record", "or not (released or alone or first(list, m))", ""),
        (Needs, "refusing_rate", "or not (released or self.first(limit.waiting, entry))", ""),
    ),
    Mutant(
        "test_repeated_put_is_the_same",
        "C14: the key is looked at before the id",
        ("put_once", "redis.call('EXISTS', KEYS[1] .. id) == 1", "false"),
        (MemoryOutbox, "_put_once", "bool(records.read(message.id).state)", "False"),
    ),
    Mutant(
        "test_claim_of_one_is_not_freed_by_another",
        "C14: a key is freed whoever stands under it",
        ("look", "if over and redis.call('GET', KEYS[23] .. key) == id then", "if over then"),
        (Records, "free_same", 'self.standing.get(one.key, ("", 0))[0] == ', "one.key in self.standing or "),
    ),
    Mutant(
        "test_every_end_frees_it",
        "C14: only a success frees a key",
        (
            "record",
            "  leave(m)\n  free_same(m)\n  m.st = 'DEAD'\n",
            "  leave(m)\n  m.st = 'DEAD'\n",
        ),
        (Records, "settle_dead", "self.free_same(entry)", "pass"),
    ),
    Mutant(
        "test_c15_batch_that_is_filled",
        "C15: a batch need not be sealed",
        ("flow", "  if not f[1] then return keep_batch(id, LAST_RESORT) end\n", ""),
        (Flow, "complete", "if not batch.sealed:", "if False:"),
    ),
    Mutant(
        "test_c15_member_is_counted",
        "C15: a member is not counted with its message",
        ("put", "join(ARGV[2], new)\n", ""),
        (MemoryOutbox, "_keep", "self._records.flow.join(within)", "pass"),
    ),
    Mutant(
        "test_c15_repeated_put",
        "C15: what is put is counted, not what is new",
        ("put", "join(ARGV[2], new)\n", "join(ARGV[2], #created)\n"),
        (MemoryOutbox, "_put", "return False", "return bool(self._records.flow.join(within))"),
    ),
    Mutant(
        "test_c15_repeated_end",
        "C15: an end is counted, whoever tells it",
        ("finish", "m.st == 'RUN' and m.claim == claim", "m.st == 'RUN'"),
        (MemoryClaims, "finish", 'entry.state == "RUN" and entry.claim == request.claim', 'entry.state == "RUN"'),
    ),
    Mutant(
        "test_c15_replayed_member",
        "C15: a replay does not open it again",
        ("flow", "  for _, of in ipairs(parts.tallies) do tally(of, 'failed', -1) end\n", ""),
        (Flow, "revive", 'self._count(entry.part, "failed", -1)', "pass"),
    ),
    Mutant(
        "test_each_callback_is_made_once",
        "a callback stays when it is made",
        ("flow", "    redis.call('HDEL', key, 'error')\n", ""),
        (Flow, "complete", "batch.error = None", "pass"),
    ),
    Mutant(
        "test_every_end_counts",
        "failures keep nothing back",
        ("flow", "(not failed or f[4] == 'all_done')", "true"),
        (Flow, "complete", '(not batch.failed or batch.when == "all_done")', "True"),
    ),
    Mutant(
        "test_every_end_counts",
        "the dead are not counted",
        ("record", "ends(m, 'failed', why)", "tostring(m)"),
        (Records, "settle_dead", 'self.flow.ends(entry.id, entry.part, "failed", why)', "pass"),
    ),
    Mutant(
        "test_closed_batch_takes_no_more",
        "a sealed batch takes more",
        ("flow", "if not f[1] or (f[2] and not sent) then", "if not f[1] then"),
        (Flow, "refuse", "if batch is None or late:", "if batch is None:"),
    ),
    Mutant(
        "test_builder_that_is_repeated",
        "what a task has put in is known as long as its record",
        ("flow", "if f[3] and not sent then", "if false then"),
        (Flow, "_sent", "(batch := self.batch(id)) and batch.builder", "False"),
    ),
    Mutant(
        "test_sealed_batch_knows_what_it_has",
        "a sealed batch takes whatever a task that is repeated puts in",
        ("flow", "if sealed and redis.call('SISMEMBER', sent, id) == 0 then", "if false then"),
        (Flow, "refuse", "if batch is None or late:", "if batch is None:"),
    ),
    Mutant(
        "test_batch_with_open_members",
        "a batch is forgotten with open members",
        ("flow", "and batch then keep_batch(batch) end", "and false then end"),
        (Flow, "join", "tally.until_ms = None", "pass"),
    ),
    Mutant(
        "test_turn_is_over_with_a_start",
        "a turn outlives a start",
        ("record", "redis.call('HDEL', key, 'turn', 'at'", "redis.call('HDEL', key, 'at'"),
        (Needs, "take", "entry.turn, entry.at, entry.released", "entry.at, entry.at, entry.released"),
    ),
    Mutant(
        "test_failure_stops_a_chain",
        "a chain that should stop goes on",
        ("flow", "if not f[1] or f[1] == 'stop' then", "if not f[1] then"),
        (Flow, "_advance", 'if chain.on_error == "stop":', "if False:"),
    ),
    Mutant(
        "test_link_that_is_dropped_ends_its_chain",
        "what is dropped counts as done",
        ("flow", "how ~= 'dropped' and redis.call('HGET', key, link)", "redis.call('HGET', key, link)"),
        (Flow, "_advance", 'None if how == "dropped" else ', ""),
    ),
    Mutant(
        "test_dead_link_that_is_purged_ends_its_chain",
        "what is purged leaves its chain",
        ("flow", "if parts.chain then advance(m, parts, 'dropped') end", ""),
        (Flow, "ends", 'self._advance(id, part, "dropped", b"")', "pass"),
    ),
    Mutant(
        "test_chain_is_enqueued_once",
        "a repeated keep begins a chain anew",
        ("put_chain", "if redis.call('PTTL', key) == -1 then return end", ""),
        (MemoryChains, "keep", "if chain and chain.begun:", "if False:"),
    ),
    Mutant(
        "test_links_that_nobody_begins_are_forgotten",
        "a chain begins without its links",
        ("flow", "if redis.call('EXISTS', KEYS[24] .. 'chain:' .. chain_in(own)) == 0 then", "if false then"),
        (Flow, "refuse_link", "and not self.chain(chain)", "and False"),
    ),
    Mutant(
        "test_links_that_nobody_begins_are_forgotten",
        "links that nobody begins stay",
        ("put_chain", "redis.call('PEXPIRE', key, 86400000)", ""),
        (Flow, "chain", "not chain.begun and", "False and"),
    ),
    Mutant(
        "test_chain_that_is_begun_is_not_forgotten",
        "a chain that is begun is forgotten",
        ("put", "redis.call('PERSIST', KEYS[24]", "tostring(KEYS[24]"),
        (Flow, "begin", "].begun = True", "].begun = False"),
    ),
    Mutant(
        "test_chain_may_go_on_without_a_link",
        "what failed stays a link of a chain that went on",
        ("flow", "redis.call('HSET', KEYS[1] .. m.id, 'part', chunk_of(parts))", "tostring(m)"),
        (Flow, "_advance", "self._records.read(id).part = Part(run=part.run) if part.run else NO_PART", "pass"),
    ),
    Mutant(
        "test_result_comes_as_it_went",
        "a result is read again for places to fill",
        (
            "flow",
            "body = string.sub(body, 1, from - 1) .. value .. string.sub(body, to + 1)",
            "body = string.gsub(body, HOLE, value)",
        ),
        (Flow, "_make", "replace(_HOLE, value, 1)", "replace(_HOLE, value)"),
    ),
    Mutant(
        "test_chain_counts_once",
        "what counts a link does not count the next",
        ("flow", "table.concat(part, '\\n')", "part[1]"),
        (Flow, "_advance", "batches=part.batches", "batches=()"),
    ),
    Mutant(
        "test_times_of_a_link_count",
        "a link is stamped again when it is retried",
        ("begin", "redis.call('HDEL', KEYS[1] .. id, 'fresh')", "tostring(m)"),
        (MemoryClaims, "begin", "entry.body, entry.fresh_ms = request.body, 0", "entry.body = request.body"),
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
