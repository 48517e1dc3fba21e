-- put: keep new messages until they are due. A message that is known already is left alone.
-- begins with record.lua
-- ARGV[1] wait (ms)   ARGV[2..] id, queue, body repeated
-- Returns {1, 0, ...}: 1 for each that was new.

local created, at = {}, now + tonumber(ARGV[1])
for i = 2, #ARGV, 3 do
  local id, queue = ARGV[i], ARGV[i + 1]
  local key = KEYS[1] .. id
  if redis.call('EXISTS', key) == 1 then
    created[#created + 1] = 0
  else
    local st = at > now and 'DELAYED' or 'READY'
    redis.call('HSET', key, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', ARGV[i + 2])
    redis.call('ZADD', KEYS[3], at, id)
    count({ st = st, queue = queue }, 1)
    created[#created + 1] = 1
  end
end
ring(at)
return created
