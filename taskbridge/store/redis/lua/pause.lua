-- pause: what is of a task, a queue, or a key is not begun from now on.
-- KEYS[1] hash {tb}:paused   "task NAME", "queue NAME" or "key KEY" -> state, when (unix ms), who and why, a line each
-- ARGV[1] what   ARGV[2] who   ARGV[3] why   ARGV[4] how many may be paused
-- Returns ok, paused (it was already) or full (so many are).

local said = redis.call('HGET', KEYS[1], ARGV[1])
if said and string.sub(said, 1, 6) == 'paused' then return 'paused' end
if not said and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HDEL', KEYS[1], ARGV[1]) -- frees first, so that it runs when memory is full
redis.call('HSET', KEYS[1], ARGV[1], table.concat({ 'paused', now, ARGV[2], ARGV[3] }, '\n'))
return 'ok'
