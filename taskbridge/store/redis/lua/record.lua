-- record: the states of a message's record and the ways between them. Every script that moves a message begins with this.
-- KEYS[1] prefix {tb}:m:      hash per message: st seq attempt starts crashes limit claim last fence pubs queue body why tb group begun,
--   and where it needs locks or limits: locks rates turn at released front; hold marks code that is no message;
--   same has the keys under which it is the only one, a line each: "until key"; part is what it is part of (flow.lua);
--   fresh is when what the store made itself was first due, while nobody has published it (unix ms); due is when one that is HELD may go on (unix ms);
--   foreign marks what no worker of ours runs: published, it has an end like a done one
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
-- KEYS[13] prefix {tb}:lock:       hash per lock: id -> claim of its holder, '' while it is reserved
-- KEYS[14] prefix {tb}:lock-wait:  zset per lock: id -> turn
-- KEYS[15] zset   {tb}:reserved    id -> until when its locks are reserved for it (unix ms; +inf for a run's)
-- KEYS[16] prefix {tb}:rate:       string per limit's key: when its next start is due at its pace (unix us)
-- KEYS[17] prefix {tb}:rate-wait:  zset per limit's key: id -> turn
-- KEYS[18] prefix {tb}:rate-out:   zset per limit's key: "weight id" let out and not begun -> until when it counts (unix ms)
-- KEYS[19] zset   {tb}:pacing      limit's key that is waited at -> when the next may be let out (unix ms)
-- KEYS[20] hash   {tb}:limits      name of a limit -> "interval (us) burst", changed at run time; "paused" behind or alone
-- KEYS[21] string {tb}:turn        grows with each first wait: who waits longest goes first
-- KEYS[22] prefix {tb}:wake:       list per hold: wakes the code that waits
-- KEYS[23] prefix {tb}:unique:     string per key under which one message is taken: its id
-- KEYS[24] prefix {tb}:flow:       chains, batches and runs, see flow.lua

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

-- A full store lets a script write whose first write frees something; this one frees nothing and costs nothing.
local function free_first() redis.call('ZREM', KEYS[2], '') end

local LEASE, GAP = 15000, 5000
-- Code that waits for a lock or a limit says so more often than this; then its record is forgotten.
local PATIENCE = 30000
-- A start may be let out so much early, and waits in its worker: only where the burst is too short to catch up (us).
local EARLY, SHORT_BURST = 10000, 25000
local WINDOW, LONG_WINDOW, LAST_RESORT = 7200000, 604800000, 1209600000
local COUNTED = { READY = true, DELAYED = true, PARKED = true, LOCKED = true, THROTTLED = true, HELD = true, DEAD = true }

local function read(id)
  local f = redis.call('HMGET', KEYS[1] .. id, 'st', 'seq', 'attempt', 'starts', 'crashes', 'limit', 'claim', 'last',
    'pubs', 'queue', 'group', 'locks', 'rates', 'turn', 'at', 'released', 'hold', 'same', 'part', 'fresh')
  if not f[1] then
    return { id = id, starts = 0, crashes = 0, pubs = 0, locks = '', rates = '', at = '', released = '', part = '' }
  end
  return {
    id = id, st = f[1], seq = tonumber(f[2]), attempt = tonumber(f[3]) or 1, starts = tonumber(f[4]) or 0,
    crashes = tonumber(f[5]) or 0, limit = tonumber(f[6]) or 0, claim = f[7], last = f[8], pubs = tonumber(f[9]) or 0,
    queue = f[10] or '', group = f[11] or '', locks = f[12] or '', rates = f[13] or '', turn = tonumber(f[14]),
    at = f[15] or '', released = f[16] or '', hold = f[17] == '1', same = f[18], part = f[19] or '', fresh = f[20],
  }
end

local function count(m, by)
  if COUNTED[m.st] and not m.hold then
    local field = m.queue .. ' ' .. m.st
    if redis.call('HINCRBY', KEYS[8], field, by) == 0 then redis.call('HDEL', KEYS[8], field) end
  end
end

-- What flow.lua decides: what follows an end, and what a chunk is told by its run: nothing, paused or stop.
local ends, told_by_run
local settle_done

-- A chunk keeps its locks for the next one, also while it waits: they are its run's.
local function is_chunk(m) return string.sub(m.part, 1, 4) == 'run ' end

-- depart: out of the state a message is in. Its first write frees, so a full store lets it.
local function depart(m)
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
    if m.st == 'OUT' then redis.call('PERSIST', KEYS[1] .. m.id) end -- a worker of ours runs it after all
  end
  count(m, -1)
end

-- ring: wake the relay when nothing is due before this instant; it finds out by itself what is.
local function ring(at)
  local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
  if at > now and first and tonumber(first) < at then return end
  if redis.call('LLEN', KEYS[9]) == 0 then redis.call('LPUSH', KEYS[9], 1) end
end

-- needs: the lines of a message's locks ("at_most conflict key") and of its limits ("interval burst weight name key").
local function locks_of(m, conflicts)
  local found = {}
  for most, conflict, key in string.gmatch(m.locks, '(%d+) (%l+) ([^\n]+)') do
    if not conflicts or conflict == conflicts then
      found[#found + 1] = { most = tonumber(most), conflict = conflict, key = key }
    end
  end
  return found
end

-- What was set for a limit at run time goes before what its task says. A burst below the weight would stop it for ever.
local function rates_of(m)
  local found = {}
  for interval, burst, weight, name, key in string.gmatch(m.rates, '(%d+) (%d+) (%d+) (%S+) ([^\n]+)') do
    local rate = { key = key, interval = tonumber(interval), burst = tonumber(burst), weight = tonumber(weight) }
    local set = redis.call('HGET', KEYS[20], name)
    if set then
      local pace, most = string.match(set, '^(%d+) (%d+)')
      if pace then rate.interval, rate.burst = tonumber(pace), tonumber(most) end
      rate.paused = string.find(set, 'paused', 1, true) ~= nil
    end
    rate.burst = math.max(rate.burst, rate.weight)
    found[#found + 1] = rate
  end
  return found
end

-- first: whether nobody waits before this message at a waiting list.
local function first(list, m)
  local head = redis.call('ZRANGE', list, 0, 0, 'WITHSCORES')
  return not head[1] or head[1] == m.id or (m.turn ~= nil and m.turn < tonumber(head[2]))
end

-- until_room: microseconds until so many tokens of a limit are there; 0 when they are (GCRA: the stored instant runs
-- ahead of now by what was taken, and may do so by `burst` intervals).
local function until_room(rate, tokens)
  local due = math.max(tonumber(redis.call('GET', KEYS[16] .. rate.key) or 0), now_us)
  return math.max(0, due + (tokens - rate.burst) * rate.interval - now_us)
end

-- out: the tokens that are meant for messages which were let out and have not begun.
local function out(rate)
  local list, sum = KEYS[18] .. rate.key, 0
  if redis.call('EXISTS', list) == 0 then return 0 end
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
  for _, member in ipairs(redis.call('ZRANGE', list, 0, -1)) do sum = sum + tonumber(string.match(member, '^%d+')) end
  return sum
end

local function take_tokens(rate, at)
  local due = math.max(tonumber(redis.call('GET', KEYS[16] .. rate.key) or 0), at) + rate.weight * rate.interval
  redis.call('SET', KEYS[16] .. rate.key, string.format('%.0f', due), 'PX', math.ceil((due - now_us) / 1000) + 1000)
end

-- let_on: a message that waited is ready, under the number it was parked with. Code that waits is woken itself. Those that
-- are let on together are published in their order: each is due a microsecond after the one before.
local let = 0
local function let_on(m)
  count(m, -1)
  m.st = 'READY'
  redis.call('HSET', KEYS[1] .. m.id, 'st', 'READY', 'front', 1)
  if m.hold then
    redis.call('LPUSH', KEYS[22] .. m.id, 1)
    redis.call('PEXPIRE', KEYS[22] .. m.id, PATIENCE)
    return
  end
  let = let + 1
  redis.call('ZADD', KEYS[3], now - 1 + let / 1000, m.id)
  ring(now)
  count(m, 1)
end

-- admit: a lock has room, or one who waited at it has gone. Its waiters go on, the longest waiting first, each when all
-- the locks that it waits for have room for it: one that must go on waiting lets nobody pass.
local admit
function admit(key)
  while true do
    local id = redis.call('ZRANGE', KEYS[14] .. key, 0, 0)[1]
    if not id then return end
    local w = read(id)
    local locks = locks_of(w, 'wait')
    for _, lock in ipairs(locks) do
      if redis.call('HLEN', KEYS[13] .. lock.key) >= lock.most or not first(KEYS[14] .. lock.key, w) then return end
    end
    redis.call('ZREM', KEYS[14] .. key, id)
    if w.st == 'LOCKED' then -- else it was forgotten while it waited
      for _, lock in ipairs(locks) do
        redis.call('ZREM', KEYS[14] .. lock.key, id)
        redis.call('HSET', KEYS[13] .. lock.key, id, '')
      end
      redis.call('ZADD', KEYS[15], now + LEASE, id)
      if w.hold then redis.call('PERSIST', KEYS[1] .. id) end -- until the reservation lapses
      let_on(w)
      for _, lock in ipairs(locks) do
        if lock.key ~= key then admit(lock.key) end -- whoever waits behind it there may have room, too
      end
    end
  end
end

-- less_kept: a message's locks without those that it has and keeps: they are reserved for it, without a lapse.
local function less_kept(m, kept)
  local less, keeps = {}, {}
  redis.call('ZREM', KEYS[15], m.id)
  for _, lock in ipairs(locks_of({ locks = kept })) do keeps[lock.key] = true end
  for _, lock in ipairs(locks_of(m)) do
    if keeps[lock.key] and redis.call('HEXISTS', KEYS[13] .. lock.key, m.id) == 1 then
      redis.call('HSET', KEYS[13] .. lock.key, m.id, '')
      redis.call('ZADD', KEYS[15], '+inf', m.id)
    else
      less[#less + 1] = lock
    end
  end
  return less
end

-- let_go: of everything a message holds, has reserved or waits for. One place for it, in every way out.
-- `kept` are the lines of the locks that it keeps, where it has them.
local function let_go(m, kept)
  if m.locks == '' and m.rates == '' then return end
  local locks = kept and less_kept(m, kept) or locks_of(m)
  if m.st == 'RUN' then -- it waits for nothing, and has nothing reserved
    for _, lock in ipairs(locks) do redis.call('HDEL', KEYS[13] .. lock.key, m.id) end
    for _, lock in ipairs(locks) do admit(lock.key) end
    return
  end
  if not kept then redis.call('ZREM', KEYS[15], m.id) end
  for _, lock in ipairs(locks) do
    redis.call('HDEL', KEYS[13] .. lock.key, m.id)
    redis.call('ZREM', KEYS[14] .. lock.key, m.id)
  end
  if m.at ~= '' then redis.call('ZREM', KEYS[17] .. m.at, m.id) end
  for _, rate in ipairs(m.released ~= '' and rates_of(m) or {}) do
    if redis.call('ZREM', KEYS[18] .. rate.key, rate.weight .. ' ' .. m.id) == 1 then
      redis.call('ZADD', KEYS[19], 'XX', now, rate.key) -- its token is free again, perhaps long before the next look
      ring(now)
    end
  end
  redis.call('HDEL', KEYS[1] .. m.id, 'at', 'released', 'front')
  m.at, m.released = '', ''
  for _, lock in ipairs(locks) do admit(lock.key) end
end

-- leave: the first step out of any state; one place for every membership.
local function leave(m, kept)
  depart(m)
  let_go(m, kept)
end

-- wait_at: into the waiting lists: of all its locks, so that nobody who came later passes, or of the limit that refused.
local function wait_at(m, rate)
  m.turn = m.turn or redis.call('INCR', KEYS[21])
  redis.call('HSET', KEYS[1] .. m.id, 'turn', m.turn)
  if not rate then
    for _, lock in ipairs(locks_of(m, 'wait')) do redis.call('ZADD', KEYS[14] .. lock.key, m.turn, m.id) end
    return
  end
  redis.call('HSET', KEYS[1] .. m.id, 'at', rate.key)
  redis.call('ZADD', KEYS[17] .. rate.key, m.turn, m.id)
  if redis.call('ZADD', KEYS[19], 'NX', now, rate.key) == 1 then ring(now) end
end

-- refusing_lock: the first lock that has no room for a message; nil when it may have them all.
local function refusing_lock(m)
  for _, lock in ipairs(locks_of(m)) do
    local holders = KEYS[13] .. lock.key
    if (not m.st or redis.call('HEXISTS', holders, m.id) == 0)
      and (redis.call('HLEN', holders) >= lock.most or not first(KEYS[14] .. lock.key, m)) then
      return lock
    end
  end
end

-- refusing_rate: the first limit that does not let a message start; else nil, and how long it is early (us).
local function refusing_rate(m)
  local wait = 0
  for _, rate in ipairs(rates_of(m)) do
    local released = m.released == rate.key
    local missing = rate.paused and math.huge or until_room(rate, rate.weight + (released and 0 or out(rate)))
    if missing > (m.released ~= '' and EARLY or 0) or not (released or first(KEYS[17] .. rate.key, m)) then return rate, 0 end
    wait = math.max(wait, missing)
  end
  return nil, wait
end

-- take_needs: a claim has what it asked for: its locks, its tokens, its turn no more. `refused` is a lock it fails for.
local function take_needs(m, claim, wait, refused)
  local key = KEYS[1] .. m.id
  if m.st then redis.call('ZREM', KEYS[15], m.id) end
  if m.st == 'LOCKED' or m.st == 'THROTTLED' then let_go(m) end -- only after the store has lost writes
  for _, lock in ipairs(locks_of(m)) do redis.call('HSET', KEYS[13] .. lock.key, m.id, claim) end
  for _, rate in ipairs(rates_of(m)) do
    take_tokens(rate, now_us + wait)
    if m.released ~= '' then redis.call('ZREM', KEYS[18] .. rate.key, rate.weight .. ' ' .. m.id) end
  end
  if m.st then redis.call('HDEL', key, 'turn', 'at', 'released', 'front', 'refused') end
  redis.call('HSET', key, 'locks', m.locks, 'rates', m.rates)
  if refused then redis.call('HSET', key, 'refused', refused) end
  if m.hold then
    redis.call('HSET', key, 'hold', 1)
    redis.call('PERSIST', key)
  end
end

-- shut_for: nobody starts at a limit's key for so long (ms); then at its pace, without a burst. nil when it is not m's.
local function shut_for(m, key, wait)
  for _, rate in ipairs(rates_of(m)) do
    if rate.key == key then
      local due = now_us + wait * 1000 + (rate.burst - 1) * rate.interval
      due = math.max(due, tonumber(redis.call('GET', KEYS[16] .. key) or 0))
      redis.call('SET', KEYS[16] .. key, string.format('%.0f', due), 'PX', math.ceil((due - now_us) / 1000) + 1000)
      return rate
    end
  end
end

-- redispatch: the store takes the message back. The sequence number grows, so that every older copy is waste paper.
-- A chunk keeps its locks unless it must wait for one, obeys a pause, and ends here when its run is to end: then false.
local function redispatch(m, st, at, group)
  local kept
  if is_chunk(m) then
    local told = told_by_run(m)
    if told == 'stop' then
      settle_done(m, nil, 'cancelled')
      return false
    end
    if told == 'paused' and st ~= 'PARKED' then st = 'HELD' end
    if st ~= 'LOCKED' then kept = m.locks end
  end
  leave(m, kept)
  m.st, m.seq, m.group = st, m.seq + 1, group or ''
  redis.call('HSET', KEYS[1] .. m.id, 'st', st, 'seq', m.seq, 'claim', '', 'attempt', m.attempt, 'crashes', m.crashes,
    'group', m.group)
  count(m, 1)
  if st == 'LOCKED' or st == 'THROTTLED' then return true end
  if st == 'HELD' then
    redis.call('HSET', KEYS[1] .. m.id, 'due', string.format('%.0f', at))
  elseif st == 'PARKED' then
    redis.call('ZADD', KEYS[5], at, m.id)
    redis.call('ZADD', KEYS[6] .. m.group, at, m.id)
    redis.call('HINCRBY', KEYS[7], m.group, 1)
  else
    redis.call('ZADD', KEYS[3], at, m.id)
    ring(at)
  end
  return true
end

-- stands_as: the id under which a message has its keys; a chunk has those of its run.
local function stands_as(m) return string.match(m.part, '^run ([^\n]+)') or m.id end

-- free_same: from now on another message may be taken under these keys. `start` frees those that end with the first start.
local function free_same(m, start)
  local id = stands_as(m)
  for till, key in string.gmatch(m.same or '', '(%S+) ([^\n]+)') do
    local over = till == 'until_started' or till == 'debounce' or (till == 'until_done' and not start)
    if over and redis.call('GET', KEYS[23] .. key) == id then redis.call('DEL', KEYS[23] .. key) end
  end
end

-- keep_same: it was begun and never entered: it has not started, and keeps the keys that nobody has taken meanwhile.
-- A chunk's run has started long since.
local function keep_same(m)
  if is_chunk(m) then return end
  for till, key in string.gmatch(m.same or '', '(%S+) ([^\n]+)') do
    if till ~= 'window' then redis.call('SET', KEYS[23] .. key, m.id, 'NX', 'PX', LAST_RESORT) end
  end
end

-- settle_done: nobody's any more; a marker stays for the window in which a copy could come again. `why` is of ends that
-- are not the task's own success; `result` is for the next link of a chain.
function settle_done(m, last, why, result)
  leave(m)
  free_same(m)
  local key = KEYS[1] .. m.id
  redis.call('DEL', key)
  if m.hold then return end
  redis.call('HSET', key, 'st', 'DONE', 'seq', m.seq or 1, 'last', last or m.last or '', 'attempt', m.attempt or 1)
  if why and why ~= '' then redis.call('HSET', key, 'why', why) end
  redis.call('PEXPIRE', key, (m.pubs > 1 or (m.seq or 1) > 1) and LONG_WINDOW or WINDOW)
  if m.part ~= '' then ends(m, (m.st == 'DEAD' and 'purged') or (why and why ~= '' and 'dropped') or 'done', why, result) end
end

-- settle_dead: the dead letter is the marker; it keeps the body and has no end.
local function settle_dead(m, why, traceback)
  leave(m)
  free_same(m)
  m.st = 'DEAD'
  redis.call('HSET', KEYS[1] .. m.id, 'st', 'DEAD', 'claim', '', 'why', why, 'tb', traceback or '', 'crashes', m.crashes,
    'queue', m.queue)
  redis.call('ZADD', KEYS[4], now, m.id)
  count(m, 1)
  if m.part ~= '' then ends(m, 'failed', why) end
end

-- lost: the claim's worker is gone. Counted apart from attempts: three pauses must not end a healthy task.
local function lost(m)
  m.crashes = m.crashes + 1
  if m.hold then
    settle_done(m)
  elseif m.crashes > m.limit then
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
