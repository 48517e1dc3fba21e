-- change: what the operator says of a schedule; it goes before the word of code, and the relay looks at it at once.
-- KEYS[1] prefix {tb}:schedule:   hash per schedule, see timetable.lua
-- KEYS[2] zset   {tb}:schedules   schedule -> until when the word of who declared it stands (unix ms)
-- KEYS[3] zset   {tb}:ticks       schedule -> when its next tick is looked at (unix ms); +inf while it has none
-- KEYS[4] list   {tb}:bell        wakes the relay; at most one token
-- ARGV[1] name   ARGV[2] version   ARGV[3] changes; '' for none   ARGV[4] 1 when it is paused   ARGV[5] next tick; 0 for none
-- Returns 1; 0 when it has changed since that version.

local key = KEYS[1] .. ARGV[1]
if redis.call('HGET', key, 'version') ~= ARGV[2] then return 0 end
redis.call('HDEL', key, 'changes') -- frees first, so that it runs when memory is full
redis.call('HSET', key, 'changes', ARGV[3], 'paused', ARGV[4], 'tick', ARGV[5])
redis.call('HINCRBY', key, 'version', 1)
redis.call('ZADD', KEYS[3], (ARGV[4] == '1' or ARGV[5] == '0') and '+inf' or ARGV[5], ARGV[1])
if redis.call('LLEN', KEYS[4]) == 0 then redis.call('LPUSH', KEYS[4], 1) end
return 1
