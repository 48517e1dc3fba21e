-- take: lease what is due to one relay. A relay that dies lets its lease lapse; nothing is ever removed here.
-- begins with record.lua
-- ARGV[1] lease (ms)   ARGV[2] limit (count)
-- Returns {id, seq, attempt, body, 1 when it goes to the front, when it was first due if the store itself made it (unix
-- ms) or 0, ...}, oldest first; {} when nothing is due.

local taken, n = {}, 0
free_first()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local f = redis.call('HMGET', KEYS[1] .. id, 'seq', 'attempt', 'body', 'front', 'fresh')
  if f[1] then
    redis.call('ZADD', KEYS[3], now + tonumber(ARGV[1]), id)
    redis.call('HINCRBY', KEYS[1] .. id, 'pubs', 1) -- counted here: a relay that dies may have published
    taken[n + 1], taken[n + 2], taken[n + 3], taken[n + 4] = id, f[1], f[2] or 1, f[3] or ''
    taken[n + 5], taken[n + 6] = f[4] and 1 or 0, f[5] or 0
    n = n + 6
  else
    redis.call('ZREM', KEYS[3], id)
  end
end
return taken
