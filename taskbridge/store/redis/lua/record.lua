-- record: the states of a message's record and the ways between them. Every script that moves a message begins with this.
-- KEYS[1] prefix {tb}:m:      hash per message: st seq attempt starts crashes limit claim last fence pubs queue body why tb group begun
-- KEYS[2] zset   {tb}:leases  "claim id" -> end of the lease (unix ms)
-- KEYS[3] zset   {tb}:due     id -> due, or end of the relay's lease (unix ms)
-- KEYS[4] zset   {tb}:dead    id -> when it died (unix ms)
-- KEYS[5] zset   {tb}:parked  id -> until when it waits for a newer worker (unix ms)
-- KEYS[6] prefix {tb}:group:  zset per group: id -> until
-- KEYS[7] hash   {tb}:groups  group -> how many wait in it
-- KEYS[8] hash   {tb}:counts  "queue state" -> how many
-- KEYS[9] list   {tb}:bell    wakes the relay; at most one token
-- KEYS[10] string {tb}:fence  grows with each accepted begin
-- KEYS[11] string {tb}:pulse  when claims were last swept (unix ms)
-- KEYS[12] string {tb}:quiet  until when no claim is taken away (unix ms)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A full store lets a script write whose first write frees something; this one frees nothing and costs nothing.
local function free_first() redis.call('ZREM', KEYS[2], '') end

local LEASE, GAP = 15000, 5000
local WINDOW, LONG_WINDOW = 7200000, 604800000
local COUNTED = { READY = true, DELAYED = true, PARKED = true, DEAD = true }

local function read(id)
  local f = redis.call('HMGET', KEYS[1] .. id, 'st', 'seq', 'attempt', 'starts', 'crashes', 'limit', 'claim', 'last',
    'pubs', 'queue', 'group')
  if not f[1] then return { id = id, starts = 0, crashes = 0, pubs = 0 } end
  return {
    id = id, st = f[1], seq = tonumber(f[2]), attempt = tonumber(f[3]) or 1, starts = tonumber(f[4]) or 0,
    crashes = tonumber(f[5]) or 0, limit = tonumber(f[6]) or 0, claim = f[7], last = f[8], pubs = tonumber(f[9]) or 0,
    queue = f[10] or '', group = f[11] or '',
  }
end

local function count(m, by)
  if COUNTED[m.st] then
    local field = m.queue .. ' ' .. m.st
    if redis.call('HINCRBY', KEYS[8], field, by) == 0 then redis.call('HDEL', KEYS[8], field) end
  end
end

-- leave: the first step out of any state; one place for every membership. Its first write frees, so a full store lets it.
local function leave(m)
  if m.st == 'RUN' then
    redis.call('ZREM', KEYS[2], m.claim .. ' ' .. m.id)
  elseif m.st == 'READY' or m.st == 'DELAYED' then
    redis.call('ZREM', KEYS[3], m.id)
  elseif m.st == 'DEAD' then
    redis.call('ZREM', KEYS[4], m.id)
  elseif m.st == 'PARKED' then
    redis.call('ZREM', KEYS[5], m.id)
    redis.call('ZREM', KEYS[6] .. m.group, m.id)
    if redis.call('HINCRBY', KEYS[7], m.group, -1) <= 0 then redis.call('HDEL', KEYS[7], m.group) end
  else
    free_first()
  end
  count(m, -1)
end

-- ring: wake the relay when nothing is due before this instant; it finds out by itself what is.
local function ring(at)
  local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
  if at > now and first and tonumber(first) < at then return end
  if redis.call('LLEN', KEYS[9]) == 0 then redis.call('LPUSH', KEYS[9], 1) end
end

-- redispatch: the store takes the message back. The sequence number grows, so that every older copy is waste paper.
local function redispatch(m, st, at, group)
  leave(m)
  m.st, m.seq, m.group = st, m.seq + 1, group or ''
  redis.call('HSET', KEYS[1] .. m.id, 'st', st, 'seq', m.seq, 'claim', '', 'attempt', m.attempt, 'crashes', m.crashes,
    'group', m.group)
  count(m, 1)
  if st == 'PARKED' then
    redis.call('ZADD', KEYS[5], at, m.id)
    redis.call('ZADD', KEYS[6] .. m.group, at, m.id)
    redis.call('HINCRBY', KEYS[7], m.group, 1)
  else
    redis.call('ZADD', KEYS[3], at, m.id)
    ring(at)
  end
end

-- settle_done: nobody's any more; a marker stays for the window in which a copy could come again. `why` is of ends that
-- are not the task's own success.
local function settle_done(m, last, why)
  leave(m)
  local key = KEYS[1] .. m.id
  redis.call('DEL', key)
  redis.call('HSET', key, 'st', 'DONE', 'seq', m.seq or 1, 'last', last or m.last or '', 'attempt', m.attempt or 1)
  if why and why ~= '' then redis.call('HSET', key, 'why', why) end
  redis.call('PEXPIRE', key, (m.pubs > 1 or (m.seq or 1) > 1) and LONG_WINDOW or WINDOW)
end

-- settle_dead: the dead letter is the marker; it keeps the body and has no end.
local function settle_dead(m, why, traceback)
  leave(m)
  m.st = 'DEAD'
  redis.call('HSET', KEYS[1] .. m.id, 'st', 'DEAD', 'claim', '', 'why', why, 'tb', traceback or '', 'crashes', m.crashes,
    'queue', m.queue)
  redis.call('ZADD', KEYS[4], now, m.id)
  count(m, 1)
end

-- lost: the claim's worker is gone. Counted apart from attempts: three pauses must not end a healthy task.
local function lost(m)
  m.crashes = m.crashes + 1
  if m.crashes > m.limit then
    settle_dead(m, 'its worker died or was away ' .. m.crashes .. ' times while running it')
  else
    redispatch(m, 'READY', now)
  end
end

-- away: was the store, or every sweeper, away of late? Then claims could not be renewed and none is taken.
local function away()
  local quiet, pulse = tonumber(redis.call('GET', KEYS[12]) or 0), tonumber(redis.call('GET', KEYS[11]) or 0)
  return now < quiet or (pulse > 0 and now - pulse > GAP)
end
