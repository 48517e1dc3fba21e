-- beat: these workers live.
-- KEYS[1] zset {tb}:held:<backend>  owner -> when it was last seen alive (unix ms)
-- ARGV owners
-- Returns nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[1], '') -- frees first, so that it runs when memory is full
for _, owner in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], now, owner)
end
