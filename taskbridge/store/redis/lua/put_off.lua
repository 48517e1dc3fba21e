-- put_off: a tick that could not be fired is looked at again later.
-- KEYS[1] zset {tb}:ticks  schedule -> when its next tick is looked at (unix ms); +inf while it has none
-- ARGV[1] name   ARGV[2] wait (ms)
-- Returns nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then -- frees first, so that it runs when memory is full
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
end
