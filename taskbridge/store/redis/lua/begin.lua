-- begin: a worker asks to run one delivery. Recognises repeats, drops the expired, lets it wait for the first lock or limit
-- that refuses, or writes the claim with the message in it. Locks are tested before any token is taken: all or none.
-- begins with flow.lua
-- KEYS[25] hash {tb}:held:<owner>  the broker's copy, acknowledged here unless it runs
-- ARGV[1] id   ARGV[2] seq   ARGV[3] claim   ARGV[4] attempt   ARGV[5] queue   ARGV[6] expires (unix ms, 0 never)
-- ARGV[7] crashes allowed   ARGV[8] body   ARGV[9] tag of the broker's copy in KEYS[25]; '' when the broker is another server
-- ARGV[10] locks   ARGV[11] limits, both as record.lua reads them   ARGV[12] 1 for code that is no message
-- Returns {verdict, fence, starts, attempt, crashes, key, wait (us)}; verdicts: run, held (it runs to fail: a lock was
-- refused), settled, stale, busy, expired, crashed, skipped, locked, throttled; `key` is of the lock or limit that refused.

local id, seq, claim = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local expires, limit = tonumber(ARGV[6]), tonumber(ARGV[7])
local m = read(id)

local function acknowledged(verdict, key)
  if ARGV[9] ~= '' then redis.call('HDEL', KEYS[25], ARGV[9]) end
  return { verdict, 0, m.starts, m.attempt or 1, m.crashes, key or '', 0 }
end

if m.st == 'RUN' and m.claim == claim then
  local f = redis.call('HMGET', KEYS[1] .. id, 'fence', 'refused')
  return { f[2] and 'held' or 'run', tonumber(f[1]), m.starts, m.attempt, m.crashes, f[2] or '', 0 }
end
if m.st == 'DONE' or m.st == 'DEAD' then return acknowledged('settled') end
if m.st and seq < m.seq then return acknowledged('stale') end
if m.st == 'RUN' and seq == m.seq then
  local lease = tonumber(redis.call('ZSCORE', KEYS[2], m.claim .. ' ' .. id) or 0)
  if lease < now and not away() then lost(m) end
  return acknowledged('busy')
end

m.seq, m.attempt, m.limit = seq, m.attempt or tonumber(ARGV[4]), limit
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

-- What it needs is what this release says. A lock that is refused may mean that it waits, ends here, or fails.
local asks = ARGV[10] ~= '' or ARGV[11] ~= '' or m.locks ~= '' or m.rates ~= ''
local refused, wait = nil, 0
if asks then
  -- Another release asks for something else. A chunk keeps what is still asked for: it is its run's.
  if m.locks ~= ARGV[10] or m.rates ~= ARGV[11] then let_go(m, is_chunk(m) and ARGV[10]) end
  m.hold, m.locks, m.rates = ARGV[12] == '1', ARGV[10], ARGV[11]
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
    if m.hold then
      redis.call('HSET', KEYS[1] .. id, 'hold', 1)
      redis.call('PEXPIRE', KEYS[1] .. id, PATIENCE)
    end
    wait_at(m, rate)
    return acknowledged(lock and 'locked' or 'throttled', (lock or rate).key)
  end
  refused = lock and lock.key
  if refused then -- it holds nothing while it fails
    let_go(m)
    m.locks, m.rates = '', ''
  end
end

depart(m)
local fence = redis.call('INCR', KEYS[10])
m.starts = m.starts + 1
redis.call('HSET', KEYS[1] .. id, 'st', 'RUN', 'seq', seq, 'attempt', m.attempt, 'starts', m.starts, 'limit', limit,
  'claim', claim, 'fence', fence, 'queue', queue, 'body', ARGV[8], 'begun', now + math.ceil(wait / 1000))
redis.call('ZADD', KEYS[2], now + LEASE, claim .. ' ' .. id)
if m.same then free_same(m, true) end
if asks then take_needs(m, claim, wait, refused) end
return { refused and 'held' or 'run', fence, m.starts, m.attempt, m.crashes, refused or '', wait }
