-- resume: what is paused is no more; let_on lets what waits for it go on.
-- begins with look.lua
-- ARGV[1] what: "task NAME", "queue NAME" or "key KEY"
-- Returns how many wait for it; -1 when it was not paused.

local said = redis.call('HGET', KEYS[25], ARGV[1])
if not said or string.sub(said, 1, 6) ~= 'paused' then return -1 end
local waiting = redis.call('ZCARD', KEYS[25] .. ':' .. ARGV[1])
redis.call('HDEL', KEYS[25], ARGV[1]) -- frees first, so that it runs when memory is full
if waiting > 0 then redis.call('HSET', KEYS[25], ARGV[1], 'resumed' .. string.sub(said, 7)) end
return waiting
