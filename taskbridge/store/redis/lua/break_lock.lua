-- break_lock: take a lock from its holders, and from those it is reserved for; its waiters go on.
-- begins with record.lua
-- ARGV[1] key
-- Returns from how many.

local held = redis.call('HLEN', KEYS[13] .. ARGV[1])
free_first()
redis.call('DEL', KEYS[13] .. ARGV[1])
admit(ARGV[1])
return held
