-- announce: a small document that lapses unless it is announced again; a lease of 0 takes it back.
-- KEYS[1] hash {tb}:doc:<kind>        key -> document
-- KEYS[2] zset {tb}:doc:<kind>:until  key -> when it lapses (unix ms)
-- ARGV[1] key   ARGV[2] document   ARGV[3] lease (ms)
-- Returns the keys of others that have lapsed, the longest lapsed first; they are forgotten.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[2], ARGV[1]) -- frees first, so that it runs when memory is full
redis.call('HDEL', KEYS[1], ARGV[1])
local lapsed = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
for _, key in ipairs(lapsed) do
  redis.call('ZREM', KEYS[2], key)
  redis.call('HDEL', KEYS[1], key)
end
if ARGV[3] ~= '0' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
end
return lapsed
