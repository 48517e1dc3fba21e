-- begin: a worker asks to run one delivery. Recognises repeats, drops the expired, lets it wait for what is paused, or for the
-- first lock or limit that refuses, or writes the claim with the message in it. Locks are tested before any token is taken: all or none.
-- begins with look.lua
-- KEYS[26] hash {tb}:held:<owner>  the broker's copy, acknowledged here unless it runs
-- ARGV[1] id   ARGV[2] seq   ARGV[3] claim   ARGV[4] attempt   ARGV[5] queue   ARGV[6] expires (unix ms, 0 never)
-- ARGV[7] crashes allowed   ARGV[8] body   ARGV[9] tag of the broker's copy in KEYS[26]; '' when the broker is another server
-- ARGV[10] 1 for code that is no message, 2 for what is only to end, which no pause keeps   ARGV[11] task
-- ARGV[12] 'locks'   ARGV[13] its locks   ARGV[14] 'rates'   ARGV[15] its limits, as record.lua reads them: fields of its record as they stand here, left out where it needs no limits, or nothing
-- Returns "verdict fence starts attempt crashes wait (us) key", for a client reads one line faster than seven replies; and
-- in a second line, of what runs and has waited since its last start, for how long: "locks limits" (ms).
-- Verdicts: run, held (it runs to fail: a lock was refused), settled, stale, busy, expired, crashed, skipped, locked,
-- throttled, paused; `key` is of the lock or limit that refused, what is paused, or nothing.

local id, seq, claim = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local expires, limit = tonumber(ARGV[6]), tonumber(ARGV[7])
local m = read(id)

local function answer(verdict, fence, wait, key)
  local numbers = string.format(' %.0f %d %d %d %.0f ', fence, m.starts, m.attempt or 1, m.crashes, wait)
  return verdict .. numbers .. (key or '')
end

-- start: the claim, with the message and what it needs in it.
local function start(wait)
  local fence = redis.call('INCR', KEYS[10])
  m.starts = m.starts + 1
  redis.call('HSET', KEYS[1] .. id, 'st', 'RUN', 'seq', seq, 'attempt', m.attempt, 'starts', m.starts, 'limit', limit,
    'claim', claim, 'fence', fence, 'queue', ARGV[5], 'body', ARGV[8], 'begun', now + math.ceil(wait / 1000), unpack(ARGV, 12))
  redis.call('ZADD', KEYS[2], now + LEASE, claim .. ' ' .. id)
  if m.same then free_same(m, true) end
  return fence
end

-- The shortest way, of most messages: nothing is known of it but that it was published, and it needs nothing; or nothing is
-- known, and it needs one lock that nobody has or waits for, or one limit that nobody waits at, with tokens as its task says.
-- What this does not let start is judged below, and what it does would start there, too.
local function alone()
  if m.st and (m.st ~= 'OUT' or seq < m.seq or m.crashes > limit or m.turn) then return false end
  if redis.call('EXISTS', KEYS[25]) == 1 then return false end -- something is paused
  if m.locks ~= '' or m.rates ~= '' or ARGV[10] == '1' or (expires > 0 and now > expires) then return false end
  if m.st or not ARGV[12] then return not ARGV[12] end
  local lock = string.match(ARGV[13], '^%d+ %l+ ([^\n]+)$')
  local rates = ARGV[15] or ''
  local interval, burst, weight, name, key = string.match(rates, '^(%d+) (%d+) (%d+) (%S+) ([^\n]+)$')
  if not lock and ARGV[13] ~= '' or not key and rates ~= '' then return false end
  if lock and redis.call('EXISTS', KEYS[13] .. lock, KEYS[14] .. lock) > 0 then return false end
  if not key then return true, lock end
  if redis.call('HEXISTS', KEYS[20], name) == 1 or redis.call('EXISTS', KEYS[17] .. key, KEYS[18] .. key) > 0 then return false end
  local due = math.max(tonumber(redis.call('GET', KEYS[16] .. key) or 0), now_us)
  if due + (weight - math.max(burst, weight)) * interval > now_us then return false end
  return true, lock, key, due + weight * interval
end

local free, lock_key, limit_key, due = alone()
if free then
  free_first()
  if m.st then redis.call('PERSIST', KEYS[1] .. id) end
  m.attempt = m.attempt or tonumber(ARGV[4])
  local fence = start(0)
  if lock_key then redis.call('HSET', KEYS[13] .. lock_key, id, claim) end
  if limit_key then set_due(limit_key, due) end
  return answer('run', fence, 0)
end

-- goes on with flow.lua

local function acknowledged(verdict, key)
  if ARGV[9] ~= '' then redis.call('HDEL', KEYS[26], ARGV[9]) end
  return answer(verdict, 0, 0, key)
end

-- keep_waiting: code that waits must say so again, or it is forgotten.
local function keep_waiting()
  if not m.hold then return end
  redis.call('HSET', KEYS[1] .. id, 'hold', 1)
  redis.call('PEXPIRE', KEYS[1] .. id, PATIENCE)
end

if m.st == 'RUN' and m.claim == claim then
  local f = redis.call('HMGET', KEYS[1] .. id, 'fence', 'refused', 'parked')
  local parked, by = string.match(f[3] or '', '^(%d+ %d+) (.+)$')
  return answer(f[2] and 'held' or 'run', tonumber(f[1]), 0, f[2]) .. (by == claim and '\n' .. parked or '')
end
if m.st == 'DONE' or m.st == 'DEAD' then return acknowledged('settled') end
if m.st and seq < m.seq then return acknowledged('stale') end
if m.st == 'RUN' and seq == m.seq then
  local lease = tonumber(redis.call('ZSCORE', KEYS[2], m.claim .. ' ' .. id) or 0)
  if lease < now and not away() then lost(m) end
  return acknowledged('busy')
end

m.seq, m.attempt, m.limit, m.body = seq, m.attempt or tonumber(ARGV[4]), limit, ARGV[8]
local queue = ARGV[5]
if m.st and m.queue ~= queue then -- a later call may name another one
  free_first()
  count(m, -1)
  m.queue = queue
  count(m, 1)
end
m.queue = queue
if expires > 0 and now > expires and m.starts == 0 then
  settle_done(m, nil, 'expired: not begun in time')
  return acknowledged('expired')
end
if m.crashes > limit then
  free_first()
  redis.call('HSET', KEYS[1] .. id, 'body', ARGV[8], 'seq', seq)
  settle_dead(m, 'its worker died or was away ' .. m.crashes .. ' times while running it')
  return acknowledged('crashed')
end
if m.fresh then redis.call('HDEL', KEYS[1] .. id, 'fresh') end -- its times stand in this copy

local subject = ARGV[10] ~= '2' and refusing_pause(m, ARGV[11], ARGV[13] or '', ARGV[15] or '')
if subject then
  m.hold = ARGV[10] == '1'
  if not redispatch(m, 'PAUSED', now) then return acknowledged('settled') end -- its run was to end
  redis.call('HSET', KEYS[1] .. id, 'limit', limit, 'queue', queue, 'body', ARGV[8])
  keep_waiting()
  if m.st == 'PAUSED' then -- else its run is paused, too
    pause_at(m, subject)
    note(m, 'paused', subject, 0, '0 0 ' .. claim)
  end
  return acknowledged('paused', subject)
end

-- What it needs is what this release says. A lock that is refused may mean that it waits, ends here, or fails.
local asks = ARGV[12] or m.locks ~= '' or m.rates ~= ''
local refused, wait = nil, 0
if asks then
  local locks, rates = ARGV[13] or '', ARGV[15] or ''
  -- Another release asks for something else. A chunk keeps what is still asked for: it is its run's.
  if m.locks ~= locks or m.rates ~= rates then let_go(m, is_chunk(m) and locks) end
  m.hold, m.locks, m.rates = ARGV[10] == '1', locks, rates
  local lock = refusing_lock(m)
  local rate
  if not lock then rate, wait = refusing_rate(m) end
  if lock and lock.conflict == 'skip' then
    settle_done(m, nil, 'skipped: the lock ' .. lock.key .. ' is held')
    return acknowledged('skipped', lock.key)
  end
  if (lock and lock.conflict == 'wait') or rate then
    redispatch(m, lock and 'LOCKED' or 'THROTTLED', now)
    redis.call('HSET', KEYS[1] .. id, 'limit', limit, 'queue', queue, 'body', ARGV[8], 'locks', m.locks, 'rates', m.rates)
    keep_waiting()
    wait_at(m, rate)
    note(m, lock and 'locked' or 'throttled', (lock or rate).key, 0, '0 0 ' .. claim)
    return acknowledged(lock and 'locked' or 'throttled', (lock or rate).key)
  end
  refused = lock and lock.key
  if refused then -- it holds nothing while it fails
    let_go(m)
    m.locks, m.rates = '', ''
  end
end

local parked = m.turn and string.format('%.0f %.0f', waited(m))
depart(m)
local fence = start(wait)
if asks or m.turn then take_needs(m, claim, wait, refused) end
if parked then redis.call('HSET', KEYS[1] .. id, 'parked', parked .. ' ' .. claim) end -- for a repeat of this call
return answer(refused and 'held' or 'run', fence, wait, refused) .. (parked and '\n' .. parked or '')
