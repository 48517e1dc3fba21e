-- attend: somebody looks on at tasks for a while; what nobody has renewed is forgotten.
-- KEYS[1] hash {tb}:attended   task -> "since until" (unix ms)
-- ARGV[1] for how long (ms)   ARGV[2...] tasks
-- Returns {since, since, ...} (unix ms), in their order.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known, since = {}, {}
redis.call('HDEL', KEYS[1], '') -- frees first, so that it runs when memory is full
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local from, till = string.match(flat[i + 1], '^(%d+) (%d+)$')
  if tonumber(till) > now then known[flat[i]] = { from, tonumber(till) } else redis.call('HDEL', KEYS[1], flat[i]) end
end
for i = 2, #ARGV do
  local one = known[ARGV[i]] or { string.format('%.0f', now), 0 }
  since[i - 1] = one[1]
  redis.call('HSET', KEYS[1], ARGV[i], string.format('%s %.0f', one[1], math.max(one[2], now + ARGV[1])))
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return since
