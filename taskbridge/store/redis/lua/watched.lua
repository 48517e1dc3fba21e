-- watched: which tasks are watched, for a migration or for somebody who looks on.
-- KEYS[1] zset {tb}:watched    task -> until when it is watched (unix ms)
-- KEYS[2] hash {tb}:attended   task -> "since until" (unix ms)
-- Returns {task, until, task, until, ...}; one that is both comes twice, with the longer one last.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES')
local until_of = {}
for i = 1, #found, 2 do until_of[found[i]] = tonumber(found[i + 1]) end
local flat = redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do
  local till = string.match(flat[i + 1], ' (%d+)$')
  if tonumber(till) > math.max(now, until_of[flat[i]] or 0) then
    found[#found + 1], found[#found + 2] = flat[i], till
  end
end
return found
