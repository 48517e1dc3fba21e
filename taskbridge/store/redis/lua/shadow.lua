-- shadow: what the scripts about shadows begin with. Told twice, nothing is counted twice.
-- KEYS[1] prefix {tb}:shadow:  of a hash pair:<id> (begun, original, copy, done), a hash tally:<rule> (its task, and what was
--   counted), the zsets pairs (id -> when it was first heard of, unix ms) and tallies (rule -> last, unix ms), and the list last
-- ARGV[1] rule   ARGV[2] task   ARGV[3] id of the original
-- ARGV[4] how long a side waits (ms)   ARGV[5] most pairs   ARGV[6] how long counts stand (ms)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pair, tally = KEYS[1] .. 'pair:' .. ARGV[3], KEYS[1] .. 'tally:' .. ARGV[1]

local function forget(ids)
  for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[1] .. 'pairs', id)
    redis.call('DEL', KEYS[1] .. 'pair:' .. id)
  end
end

-- heard: the pair is remembered for a while; those that are too old, or too many, are forgotten, a few at a time.
local function heard()
  local all = KEYS[1] .. 'pairs'
  redis.call('ZADD', all, 'NX', now, ARGV[3])
  redis.call('PEXPIRE', pair, ARGV[4])
  redis.call('PEXPIRE', all, ARGV[4])
  forget(redis.call('ZRANGEBYSCORE', all, '-inf', now - ARGV[4], 'LIMIT', 0, 100))
  local over = redis.call('ZCARD', all) - ARGV[5]
  if over > 0 then forget(redis.call('ZRANGE', all, 0, math.min(over, 100) - 1)) end
end

local function count(word, by)
  if by ~= 0 then redis.call('HINCRBY', tally, word, by) end
end

-- counted: the counts stand for a while from now.
local function counted()
  local all = KEYS[1] .. 'tallies'
  redis.call('HSET', tally, 'task', ARGV[2])
  redis.call('ZADD', all, now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', all, '-inf', now - ARGV[6])
  redis.call('PEXPIRE', tally, ARGV[6])
  redis.call('PEXPIRE', all, ARGV[6])
end
