-- sweep: take back what lapsed claims held. After the store or all sweepers were away, wait one lease first.
-- begins with flow.lua
-- ARGV[1] limit (count)
-- Returns the ids, the longest lapsed first.

local found = {}
free_first()
local pulse = tonumber(redis.call('GET', KEYS[11]) or 0)
if pulse > 0 and now - pulse > GAP then redis.call('SET', KEYS[12], now + LEASE, 'PX', LEASE) end
redis.call('SET', KEYS[11], now)
if away() then return found end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now, 'LIMIT', 0, ARGV[1])) do
  local at = string.find(member, ' ', 1, true)
  local m = read(string.sub(member, at + 1))
  if m.st == 'RUN' and m.claim == string.sub(member, 1, at - 1) then
    lost(m)
    found[#found + 1] = m.id
  else
    redis.call('ZREM', KEYS[2], member)
  end
end
return found
