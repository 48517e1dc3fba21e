-- record: the states of a message's record and the ways between them. Every script that moves a message begins with this.
-- begins with look.lua

local COUNTED = { READY = true, DELAYED = true, PARKED = true, LOCKED = true, THROTTLED = true, HELD = true, PAUSED = true,
  DEAD = true }

local function count(m, by)
  if COUNTED[m.st] and not m.hold then
    local field = m.queue .. ' ' .. m.st
    if redis.call('HINCRBY', KEYS[8], field, by) == 0 then redis.call('HDEL', KEYS[8], field) end
  end
end

-- What flow.lua decides: what follows an end, and what a chunk is told by its run: nothing, paused or stop.
local ends, told_by_run
local settle_done

-- note: what happens to a message beyond its first start and its success is one line of its trail, the last of which stay:
-- "when what due begun attempt claim about" (unix ms). `due` is when it may go on, 0 at once; `ran` is what ran_of returns of
-- the attempt that ends here, or nothing. Words: published, locked, throttled, let, retried, postponed, parked, released,
-- lost, returned, adopted, replaced, held, resumed, replayed, dead, dropped.
local MOST_NOTES, LONGEST_NOTE = 30, 160

local function ran_of(m) return string.format('%s %d %s', m.begun or 0, m.attempt or 1, m.claim ~= '' and m.claim or '-') end

local function note(m, what, about, due, ran)
  if m.hold then return end
  local key = KEYS[1] .. m.id
  if not m.trail then
    local f = redis.call('HMGET', key, 'to', 'sent')
    m.trail = f[1] and f[2] .. ' published 0 0 0 - ' .. f[1]
  end
  local text = string.gsub(string.sub(about or '', 1, LONGEST_NOTE), '%c', ' ')
  local line = string.format('%.0f %s %.0f %s %s', now, what, due or 0, ran or '0 0 -', text)
  m.trail = m.trail and m.trail .. '\n' .. line or line
  local _, ends_of_lines = string.gsub(m.trail, '\n', '')
  if ends_of_lines >= MOST_NOTES then m.trail = string.gsub(m.trail, '^[^\n]*\n', '', 1) end
  redis.call('HSET', key, 'trail', m.trail)
end

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
  elseif m.st == 'PAUSED' then
    redis.call('ZREM', KEYS[25] .. ':' .. m.at, m.id)
    redis.call('HDEL', KEYS[1] .. m.id, 'at')
    m.at = ''
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

-- needs: the lines of a message's locks ("at_most conflict key") and of its limits ("interval burst weight name key"). They
-- are read once, for a start asks for them more than once.
local function locks_of(m)
  if m.locks == '' then return {} end
  if m.locks_read ~= m.locks then
    local found = {}
    for most, conflict, key in string.gmatch(m.locks, '(%d+) (%l+) ([^\n]+)') do
      found[#found + 1] = { most = tonumber(most), conflict = conflict, key = key }
    end
    m.locks_read, m.lock_list = m.locks, found
  end
  return m.lock_list
end

-- waited_for: the locks that a message waits for; others are tried when it begins.
local function waited_for(m)
  local found = {}
  for _, lock in ipairs(locks_of(m)) do
    if lock.conflict == 'wait' then found[#found + 1] = lock end
  end
  return found
end

-- What was set for a limit at run time goes before what its task says. A burst below the weight would stop it for ever.
local function rates_of(m)
  if m.rates == '' then return {} end
  if m.rates_read == m.rates then return m.rate_list end
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
  m.rates_read, m.rate_list = m.rates, found
  return found
end

-- first: whether nobody waits before this message at a waiting list.
local function first(list, m)
  local head = redis.call('ZRANGE', list, '0', '0', 'WITHSCORES')
  return not head[1] or head[1] == m.id or (m.turn ~= nil and m.turn < tonumber(head[2]))
end

local function due_at(key) return tonumber(redis.call('GET', KEYS[16] .. key) or 0) end

-- until_room: microseconds until so many tokens of a limit are there; 0 when they are (GCRA: the stored instant runs
-- ahead of now by what was taken, and may do so by `burst` intervals).
local function until_room(rate, tokens)
  local due = math.max(due_at(rate.key), now_us)
  return math.max(0, due + (tokens - rate.burst) * rate.interval - now_us)
end

-- out: the tokens that are meant for messages which were let out and have not begun.
local function out(rate)
  local list, sum = KEYS[18] .. rate.key, 0
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
  for _, member in ipairs(redis.call('ZRANGE', list, 0, -1)) do sum = sum + tonumber(string.match(member, '^%d+')) end
  return sum
end

-- waited: how long a message has waited since it last started, for locks and for limits (ms). What it lay ready, delayed
-- or in an engine is no part of it.
local function waited(m)
  local f = redis.call('HMGET', KEYS[1] .. m.id, 'since', 'parked')
  local locks, limits = string.match(f[2] or '', '^(%d+) (%d+)$')
  local more = f[1] and math.max(0, now - f[1]) or 0
  return tonumber(locks or 0) + (m.st == 'LOCKED' and more or 0), tonumber(limits or 0) + (m.st == 'THROTTLED' and more or 0)
end

-- let_on: a message that waited is ready, under the number it was parked with. Code that waits is woken itself. Those that
-- are let on together are published in their order: each is due a microsecond after the one before.
local let = 0
local function let_on(m)
  local parked, paused, waited_for = string.format('%.0f %.0f', waited(m)), m.st == 'PAUSED', m.st == 'LOCKED' and 'lock' or 'limit'
  count(m, -1)
  m.st = 'READY'
  redis.call('HSET', KEYS[1] .. m.id, 'st', 'READY', 'front', 1, 'parked', parked)
  if m.hold then
    redis.call('LPUSH', KEYS[22] .. m.id, 1)
    redis.call('PEXPIRE', KEYS[22] .. m.id, PATIENCE)
    return
  end
  let = let + 1
  redis.call('ZADD', KEYS[3], now_us / 1000 - 1 + let / 1000, m.id) -- a script takes longer than that for each
  ring(now)
  count(m, 1)
  note(m, paused and 'unpaused' or 'let', paused and m.at or waited_for)
end

-- admit: a lock has room, or one who waited at it has gone. Its waiters go on, the longest waiting first, each when all
-- the locks that it waits for have room for it: one that must go on waiting lets nobody pass.
local admit
function admit(key)
  while true do
    local id = redis.call('ZRANGE', KEYS[14] .. key, '0', '0')[1]
    if not id then return end
    local w = read(id)
    local locks = waited_for(w)
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
    if m.locks == '' then return end
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
  redis.call('HSET', KEYS[1] .. m.id, 'turn', m.turn, 'since', now)
  if not rate then
    for _, lock in ipairs(waited_for(m)) do redis.call('ZADD', KEYS[14] .. lock.key, m.turn, m.id) end
    return
  end
  redis.call('HSET', KEYS[1] .. m.id, 'at', rate.key)
  redis.call('ZADD', KEYS[17] .. rate.key, m.turn, m.id)
  if redis.call('ZADD', KEYS[19], 'NX', now, rate.key) == 1 then ring(now) end
end

-- refusing_pause: what a message of this task that needs this must wait for, because it is paused, or because somebody waits for
-- it before this message and is yet to go on; nil when nothing is.
local function refusing_pause(m, task, locks, rates)
  if redis.call('EXISTS', KEYS[25]) == 0 then return end
  local subjects = { 'task ' .. task, 'queue ' .. m.queue }
  for key in string.gmatch(locks, '%d+ %l+ ([^\n]+)') do subjects[#subjects + 1] = 'key ' .. key end
  for key in string.gmatch(rates, '%d+ %d+ %d+ %S+ ([^\n]+)') do subjects[#subjects + 1] = 'key ' .. key end
  local found = redis.call('HMGET', KEYS[25], unpack(subjects))
  for n, subject in ipairs(subjects) do
    local said = found[n]
    if said and (string.sub(said, 1, 6) == 'paused' or not first(KEYS[25] .. ':' .. subject, m)) then return subject end
  end
end

-- pause_at: into the list of those that wait for this to be resumed.
local function pause_at(m, subject)
  m.turn, m.at = m.turn or redis.call('INCR', KEYS[21]), subject
  redis.call('HSET', KEYS[1] .. m.id, 'turn', m.turn, 'at', subject)
  redis.call('ZADD', KEYS[25] .. ':' .. subject, m.turn, m.id)
end

-- refusing_lock: the first lock that has no room for a message; nil when it may have them all.
local function refusing_lock(m)
  for _, lock in ipairs(locks_of(m)) do
    local holders, list = KEYS[13] .. lock.key, KEYS[14] .. lock.key
    if redis.call('EXISTS', holders, list) > 0 and (not m.st or redis.call('HEXISTS', holders, m.id) == 0)
      and (redis.call('HLEN', holders) >= lock.most or not first(list, m)) then
      return lock
    end
  end
end

-- refusing_rate: the first limit that does not let a message start; else nil, and how long it is early (us).
local function refusing_rate(m)
  local wait = 0
  for _, rate in ipairs(rates_of(m)) do
    local released, list = m.released == rate.key, KEYS[17] .. rate.key
    local alone = redis.call('EXISTS', list, KEYS[18] .. rate.key) == 0
    local missing = rate.paused and math.huge or until_room(rate, rate.weight + ((released or alone) and 0 or out(rate)))
    if missing > (m.released ~= '' and EARLY or 0) or not (released or alone or first(list, m)) then return rate, 0 end
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
    set_due(rate.key, math.max(due_at(rate.key), now_us + wait) + rate.weight * rate.interval)
    if m.released ~= '' then redis.call('ZREM', KEYS[18] .. rate.key, rate.weight .. ' ' .. m.id) end
  end
  if m.st then redis.call('HDEL', key, 'turn', 'at', 'released', 'front', 'refused', 'since') end
  if m.st or refused then redis.call('HSET', key, 'locks', m.locks, 'rates', m.rates) end -- less than it has or asked for
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
      set_due(key, math.max(due, due_at(key)))
      return rate
    end
  end
end

-- ends_cancelled: somebody has cancelled a message while it ran: it ends now, and is not made again.
local function ends_cancelled(m, last)
  local why = m.st == 'RUN' and redis.call('HGET', KEYS[1] .. m.id, 'cancel')
  if why then settle_done(m, last, why) end
  return why
end

-- redispatch: the store takes the message back. The sequence number grows, so that every older copy is waste paper.
-- A chunk keeps its locks unless it must wait for one, obeys a pause, and ends here when its run is to end: then false. So does
-- what was cancelled while it ran.
local function redispatch(m, st, at, group)
  if ends_cancelled(m) then return false end
  local kept
  if is_chunk(m) then
    local told, why = told_by_run(m)
    if told == 'stop' then
      settle_done(m, nil, why)
      return false
    end
    if told == 'paused' and st ~= 'PARKED' then st = 'HELD' end
    if st ~= 'LOCKED' then kept = m.locks end
  end
  leave(m, kept)
  m.st, m.seq, m.group = st, m.seq + 1, group or ''
  redis.call('HSET', KEYS[1] .. m.id, 'st', st, 'seq', m.seq, 'claim', '', 'attempt', m.attempt, 'crashes', m.crashes,
    'group', m.group)
  if m.pubs > 0 then
    m.pubs = 0
    redis.call('HDEL', KEYS[1] .. m.id, 'pubs')
  end
  count(m, 1)
  if st == 'LOCKED' or st == 'THROTTLED' or st == 'PAUSED' then return true end
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

-- keep_same: it was begun and never entered: it has not started, and keeps the keys that nobody has taken meanwhile.
-- A chunk's run has started long since.
local function keep_same(m)
  if is_chunk(m) then return end
  for till, key in string.gmatch(m.same or '', '(%S+) ([^\n]+)') do
    if till ~= 'window' then redis.call('SET', KEYS[23] .. key, m.id, 'NX', 'PX', LAST_RESORT) end
  end
end

-- settle_done: nobody's any more; a marker stays for the window in which a copy could come again. `why` is of ends that
-- are not the task's own success; `result` is for the next link of a chain, `facts` for mark_done.
function settle_done(m, last, why, result, facts)
  local ran = m.st == 'RUN' and ran_of(m)
  leave(m)
  free_same(m)
  if why and why ~= '' then note(m, 'dropped', why, 0, ran) end
  mark_done(m, last, facts or facts_of(m))
  if why and why ~= '' and not m.hold then redis.call('HSET', KEYS[1] .. m.id, 'why', why) end
  if m.part ~= '' then ends(m, (m.st == 'DEAD' and 'purged') or (why and why ~= '' and 'dropped') or 'done', why, result) end
end

-- settle_dead: the dead letter is the marker; it keeps the body and has no end.
local function settle_dead(m, why, traceback)
  local ran = m.st == 'RUN' and ran_of(m)
  leave(m)
  free_same(m)
  m.st = 'DEAD'
  redis.call('HSET', KEYS[1] .. m.id, 'st', 'DEAD', 'claim', '', 'why', why, 'tb', traceback or '', 'crashes', m.crashes,
    'queue', m.queue)
  redis.call('ZADD', KEYS[4], now, m.id)
  count(m, 1)
  note(m, 'dead', why, 0, ran)
  if m.part ~= '' then ends(m, 'failed', why) end
end

-- lost: the claim's worker is gone. Counted apart from attempts: three pauses must not end a healthy task.
local function lost(m)
  if ends_cancelled(m) then return end
  m.crashes = m.crashes + 1
  if m.hold then
    settle_done(m)
  elseif m.crashes > m.limit then
    settle_dead(m, 'its worker died or was away ' .. m.crashes .. ' times while running it')
  else
    local ran = ran_of(m)
    if redispatch(m, 'READY', now) then note(m, 'lost', '', 0, ran) end
  end
end

-- away: was the store, or every sweeper, away of late? Then claims could not be renewed and none is taken.
local function away()
  local quiet, pulse = tonumber(redis.call('GET', KEYS[12]) or 0), tonumber(redis.call('GET', KEYS[11]) or 0)
  return now < quiet or (pulse > 0 and now - pulse > GAP)
end
