-- add_moment: keep numbers as those of now, unless the last are too young. Told twice, they are kept once.
-- KEYS[1] list {tb}:history   two words a moment, the newest last: when (unix ms), numbers
-- ARGV[1] numbers   ARGV[2] how old the last must be (ms)   ARGV[3] how many moments are kept
-- Returns 1, or 0 when the last are too young.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('LINDEX', KEYS[1], -2) or '-inf')
if now - last < tonumber(ARGV[2]) then return 0 end
local words = 2 * (tonumber(ARGV[3]) - 1)
if words > 0 then redis.call('LTRIM', KEYS[1], -words, -1) else redis.call('DEL', KEYS[1]) end -- frees first: a full store too
redis.call('RPUSH', KEYS[1], string.format('%d', now), ARGV[1])
return 1
