-- fetch: take native messages off Celery's lists onto the worker's shelf, in one step.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, message
-- KEYS[2] zset {tb}:held:<backend>          owner -> when it was last seen alive (unix ms)
-- KEYS[3..] lists: those of the high band, then the normal, then the low; kombu pops at the right
-- ARGV[1] limit (count)   ARGV[2] last tag given   ARGV[3] owner   ARGV[4] turn: where to begin, so that all are served
-- ARGV[5] lists in the high band   ARGV[6] lists in the normal band
-- Returns {1 when messages are left, how many lay on the shelf before, tag, which list, message, ...}.

local limit, tag, turn = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local got, taken = { 0, redis.call('HLEN', KEYS[1]) }, 0

local function serve(first, size)
  local dry, i = 0, turn
  while taken < limit and dry < size do
    local which = first + i % size
    local raw = redis.call('RPOP', KEYS[2 + which])
    if raw then
      tag, taken, dry = tag + 1, taken + 1, 0
      redis.call('HSET', KEYS[1], tag, KEYS[2 + which] .. '\n' .. raw)
      for _, part in ipairs({ tag, which, raw }) do got[#got + 1] = part end
    else
      dry = dry + 1
    end
    i = i + 1
  end
end

local high, normal = tonumber(ARGV[5]), tonumber(ARGV[6])
serve(1, high)
serve(1 + high, normal)
serve(1 + high + normal, #KEYS - 2 - high - normal)
if taken > 0 then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[3])
end
if taken == limit then
  for i = 3, #KEYS do
    if redis.call('LLEN', KEYS[i]) > 0 then got[1] = 1 break end
  end
end
return got
