-- cancel: a message ends, wherever it waits; one that runs is not made again. What has ended stays as it is.
-- begins with flow.lua
-- KEYS[26] zset {tb}:ended  "claim id" whose process is to be ended -> when that was said (unix ms)
-- ARGV[1] id   ARGV[2] why   ARGV[3] 1 when the process that runs it is to be ended   ARGV[4] for how long that is said (ms)
-- Returns the state that it was in, or unknown (none: it is recognised if it comes), code (it is no message), or foreign (an
-- engine's own workers have it, or may: a relay has had it to publish; and they ask nobody).

local m = read(ARGV[1])
if m.hold then return 'code' end
if m.st == 'DONE' or m.st == 'DEAD' then return m.st end
local given = m.st == 'OUT' or ((m.st == 'READY' or m.st == 'DELAYED') and m.pubs > 0)
if given and redis.call('HEXISTS', KEYS[1] .. m.id, 'foreign') == 1 then return 'foreign' end
free_first()
if m.st == 'RUN' then
  redis.call('HSET', KEYS[1] .. m.id, 'cancel', ARGV[2])
  redis.call('ZREMRANGEBYSCORE', KEYS[26], '-inf', now - tonumber(ARGV[4]))
  if ARGV[3] == '1' then redis.call('ZADD', KEYS[26], now, m.claim .. ' ' .. m.id) end
  return 'RUN'
end
local was = m.st or 'unknown'
settle_done(m, nil, ARGV[2])
redis.call('PEXPIRE', KEYS[1] .. m.id, LONG_WINDOW) -- its copy may lie in a queue for long
return was
