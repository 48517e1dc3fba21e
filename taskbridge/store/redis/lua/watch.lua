-- watch: have tasks watched, each until its instant; what is past is forgotten.
-- KEYS[1] zset {tb}:watched   task -> until when it is watched (unix ms)
-- ARGV[1...] until, task, until, task ...
-- Returns nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) -- frees first, so that it runs when memory is full
for n = 1, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
