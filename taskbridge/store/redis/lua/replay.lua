-- replay: a dead message is ready again, its attempts and crashes back at the start.
-- begins with flow.lua
-- ARGV[1] id
-- Returns 1, or 0 when it is not among the dead, or is bytes that no engine could carry.

local m = read(ARGV[1])
if m.st ~= 'DEAD' or redis.call('HEXISTS', KEYS[1] .. m.id, 'raw') == 1 then return 0 end
m.attempt, m.crashes = 1, 0
free_first()
revive(m)
if redispatch(m, 'READY', now) then note(m, 'replayed') end
redis.call('HDEL', KEYS[1] .. m.id, 'why', 'tb')
return 1
