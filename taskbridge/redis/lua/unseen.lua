-- unseen: workers that showed no life for the visibility time.
-- KEYS[1] zset {tb}:held  owner -> when it was last seen alive (unix ms)
-- ARGV[1] visibility (ms)
-- Returns the owners.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, 100)
