-- push: messages that the store keeps already go into a queue, even when memory is full: they must run for it to be freed.
-- Those that have waited already go to the front, behind those that are there for the same reason.
-- KEYS[1] list of redis ids: Dramatiq pops at the left   KEYS[2] hash redis id -> message
-- ARGV[1] 1 to the front, else 0   ARGV[2..] redis id, message repeated, the first of them first
-- Returns nothing.

redis.call('LTRIM', KEYS[1], 0, -1) -- frees nothing, but may: a full server lets a script write that begins so
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
if ARGV[1] == '0' then
  for i = 2, #ARGV, 2 do redis.call('RPUSH', KEYS[1], ARGV[i]) end
  return
end

local before, id = {}, redis.call('LPOP', KEYS[1])
while id and #before < 200 and string.find(redis.call('HGET', KEYS[2], id) or '', '"front":true', 1, true) do
  before[#before + 1] = id
  id = redis.call('LPOP', KEYS[1])
end
if id then redis.call('LPUSH', KEYS[1], id) end
for i = #ARGV - 1, 2, -2 do redis.call('LPUSH', KEYS[1], ARGV[i]) end
for i = #before, 1, -1 do redis.call('LPUSH', KEYS[1], before[i]) end
