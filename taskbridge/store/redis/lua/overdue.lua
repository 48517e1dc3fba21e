-- overdue: no newer worker came in time; what waited for one goes to the dead letters.
-- begins with flow.lua
-- ARGV[1] limit (count)
-- Returns the ids.

local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local m = read(id)
  if m.st == 'PARKED' then
    settle_dead(m, 'no worker came that knows ' .. m.group)
    found[#found + 1] = id
  else
    redis.call('ZREM', KEYS[5], id)
  end
end
return found
