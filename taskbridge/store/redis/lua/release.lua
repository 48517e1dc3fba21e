-- release: a worker that knows what a group waits for has come; its messages become ready, the longest parked first.
-- begins with flow.lua
-- ARGV[1] group   ARGV[2] limit (count)
-- Returns how many.

local released = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6] .. ARGV[1], '-inf', '+inf', 'LIMIT', 0, ARGV[2])) do
  local m = read(id)
  if m.st == 'PARKED' and m.group == ARGV[1] then
    if redispatch(m, 'READY', now) then note(m, 'released', ARGV[1]) end
    released = released + 1
  else
    redis.call('ZREM', KEYS[6] .. ARGV[1], id)
  end
end
if released == 0 and redis.call('EXISTS', KEYS[6] .. ARGV[1]) == 0 then redis.call('HDEL', KEYS[7], ARGV[1]) end
return released
