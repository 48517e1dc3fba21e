-- note: what somebody has done, behind all that was noted before.
-- KEYS[1] list {tb}:audit   what operators did, the newest last, five words each: when (unix ms), who, verb, subject, detail
-- ARGV[1] how many are kept   ARGV[2] who   ARGV[3] verb   ARGV[4] subject   ARGV[5] detail
-- Returns nothing.

local time = redis.call('TIME')
local at = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('LTRIM', KEYS[1], -5 * (ARGV[1] - 1), -1) -- frees first, so that it runs when memory is full
redis.call('RPUSH', KEYS[1], at, ARGV[2], ARGV[3], ARGV[4], ARGV[5])
