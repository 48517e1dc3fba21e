-- begin: a worker asks to run one delivery. Recognises repeats, drops the expired, or writes the claim with the message in it.
-- begins with record.lua
-- KEYS[13] hash {tb}:held:<owner>  the broker's copy, acknowledged here unless it runs
-- ARGV[1] id   ARGV[2] seq   ARGV[3] claim   ARGV[4] attempt   ARGV[5] queue   ARGV[6] expires (unix ms, 0 never)
-- ARGV[7] crashes allowed   ARGV[8] body   ARGV[9] tag of the broker's copy in KEYS[13]; '' when the broker is another server
-- Returns {verdict, fence, starts, attempt, crashes}; verdicts: run, settled, stale, busy, expired, crashed.

local id, seq, claim = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local expires, limit = tonumber(ARGV[6]), tonumber(ARGV[7])
local m = read(id)

local function acknowledged(verdict)
  if ARGV[9] ~= '' then redis.call('HDEL', KEYS[13], ARGV[9]) end
  return { verdict, 0, m.starts, m.attempt or 1, m.crashes }
end

if m.st == 'RUN' and m.claim == claim then
  return { 'run', tonumber(redis.call('HGET', KEYS[1] .. id, 'fence')), m.starts, m.attempt, m.crashes }
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

leave(m)
local fence = redis.call('INCR', KEYS[10])
m.starts = m.starts + 1
redis.call('HSET', KEYS[1] .. id, 'st', 'RUN', 'seq', seq, 'attempt', m.attempt, 'starts', m.starts, 'limit', limit,
  'claim', claim, 'fence', fence, 'queue', queue, 'body', ARGV[8], 'begun', now)
redis.call('ZADD', KEYS[2], now + LEASE, claim .. ' ' .. id)
return { 'run', fence, m.starts, m.attempt, m.crashes }
