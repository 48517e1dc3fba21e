-- put_once: keep new messages, each unless one stands under one of its keys. Claim and message are written together.
-- begins with flow.lua
-- ARGV[1] wait (ms)   ARGV[2] what counts them, ARGV[3] chunk that enqueues them, ARGV[4] its claim: see refused_within
-- ARGV[5] 1 when they are foreign
-- ARGV[6..] id, queue, body, how many keys, then until, key, time to live (ms) of each; repeated
-- Returns {id, 1, ...} of those that stand: a message's own, or the one that was there, and 1 where this call made it; or
-- why all were refused.

local found, new, at, i = {}, 0, now + tonumber(ARGV[1]), 6
local refused = refused_within(ARGV[2], ARGV[3], ARGV[4])
local n = 6
while sealed and n <= #ARGV do
  refused = refused or refused_late(ARGV[n])
  n = n + 4 + 3 * tonumber(ARGV[n + 3])
end
if refused then return refused end

-- A later call takes the place of one that has not begun, and its delay begins anew.
local function replaced(id, body)
  local m = read(id)
  if not m.st or m.st == 'RUN' or m.st == 'DONE' or m.st == 'DEAD' then return false end
  redis.call('HSET', KEYS[1] .. id, 'body', body)
  local waits = m.st == 'LOCKED' or m.st == 'THROTTLED' or m.st == 'PAUSED'
  if not waits and not redispatch(m, 'DELAYED', at) then return true end
  note(m, 'replaced', '', at)
  return true
end

local function stands(id, created) found[#found + 1], found[#found + 2] = id, created end

-- The message that stands under one of these keys, and how.
local function standing(keys)
  for _, one in ipairs(keys) do
    local other = redis.call('GET', KEYS[23] .. one.key)
    if other then return other, one.till end
  end
end

while i <= #ARGV do
  local id, queue, body, count_of = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local keys, lines = {}, {}
  i = i + 4
  for _ = 1, count_of do
    keys[#keys + 1] = { till = ARGV[i], key = ARGV[i + 1], ttl = ARGV[i + 2] }
    lines[#lines + 1] = ARGV[i] .. ' ' .. ARGV[i + 1]
    i = i + 3
  end
  local other, till = standing(keys)
  local before, known = sent_before(id), redis.call('EXISTS', KEYS[1] .. id) == 1
  if known or before then -- what was put before may have been another's, which stands yet
    stands(not known and other or id, 0)
  elseif other and (till ~= 'debounce' or replaced(other, body)) then
    for _, one in ipairs(keys) do -- an idempotency key stands for what was found
      if one.till == 'window' then redis.call('SET', KEYS[23] .. one.key, other, 'NX', 'PX', one.ttl) end
    end
    stands(other, 0)
  else
    local st = at > now and 'DELAYED' or 'READY'
    for _, one in ipairs(keys) do redis.call('SET', KEYS[23] .. one.key, id, 'PX', one.ttl) end
    redis.call('HSET', KEYS[1] .. id, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', body, 'same',
      table.concat(lines, '\n'), 'part', ARGV[2])
    if ARGV[5] == '1' then redis.call('HSET', KEYS[1] .. id, 'foreign', 1) end
    redis.call('ZADD', KEYS[3], at, id)
    count({ st = st, queue = queue }, 1)
    stands(id, 1)
    new = new + 1
  end
end
join(ARGV[2], new)
ring(at)
return found
