-- set_limit: a limit is changed for everyone; whoever waits at one of its keys is looked at anew.
-- KEYS[1] hash {tb}:limits  name -> "interval (us) burst", "paused" behind or alone
-- KEYS[2] zset {tb}:pacing  limit's key that is waited at -> when the next may be let out (unix ms)
-- KEYS[3] list {tb}:bell    wakes the relay; at most one token
-- ARGV[1] name   ARGV[2] what to set; '' gives the word of its task back
-- Returns nothing.

redis.call('HDEL', KEYS[1], ARGV[1]) -- frees first, so that it runs when memory is full
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if key == ARGV[1] or string.sub(key, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then redis.call('ZADD', KEYS[2], 0, key) end
end
if redis.call('LLEN', KEYS[3]) == 0 then redis.call('LPUSH', KEYS[3], 1) end
