-- let_out: limits let out what waits at them, at their pace; reservations of locks that nobody used in time lapse.
-- begins with flow.lua
-- ARGV[1] limit (count of keys)   ARGV[2] how long what was let out counts as coming (ms)
-- Returns how many messages may go on.

local released = 0
free_first()

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[15], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local m = read(id)
  redis.call('ZREM', KEYS[15], id)
  if m.hold and m.st == 'READY' then
    settle_done(m) -- the code that waited is gone
  else
    local locks = locks_of(m)
    for _, lock in ipairs(locks) do
      if redis.call('HGET', KEYS[13] .. lock.key, id) == '' then redis.call('HDEL', KEYS[13] .. lock.key, id) end
    end
    for _, lock in ipairs(locks) do admit(lock.key) end
  end
  released = released + 1
end

-- A burst is refilled in thirds: the relay then comes seldom, and is late by less than the limit can catch up.
local function next_in(rate)
  local group = math.max(1, math.floor(rate.burst / rate.weight / 3))
  local us = until_room(rate, rate.weight + out(rate)) + (group - 1) * rate.weight * rate.interval
  local ms = math.max(1, math.ceil((us - rate.early) / 1000))
  local lost = redis.call('ZRANGE', KEYS[18] .. rate.key, 0, 0, 'WITHSCORES')[2] -- then its token is free again
  return lost and math.min(ms, math.max(1, tonumber(lost) - now + 1)) or ms
end

local function rate_at(m)
  for _, rate in ipairs(rates_of(m)) do
    if rate.key == m.at then
      rate.early = (rate.burst - 1) * rate.interval < SHORT_BURST and EARLY or 0
      return rate
    end
  end
end

for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[19], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local list = KEYS[17] .. key
  local id = redis.call('ZRANGE', list, 0, 0)[1]
  while id do
    local m = read(id)
    local rate = m.st == 'THROTTLED' and m.at == key and rate_at(m)
    if not rate then -- it was forgotten while it waited
      redis.call('ZREM', list, id)
    elseif rate.paused then
      redis.call('ZADD', KEYS[19], '+inf', key)
      break
    elseif until_room(rate, rate.weight + out(rate)) > rate.early then
      redis.call('ZADD', KEYS[19], now + next_in(rate), key)
      break
    else
      redis.call('ZREM', list, id)
      redis.call('ZADD', KEYS[18] .. key, now + tonumber(ARGV[2]), rate.weight .. ' ' .. id)
      redis.call('HSET', KEYS[1] .. id, 'released', key)
      redis.call('HDEL', KEYS[1] .. id, 'at')
      let_on(m)
      released = released + 1
    end
    id = redis.call('ZRANGE', list, 0, 0)[1]
  end
  if not id then redis.call('ZREM', KEYS[19], key) end
end
return released
