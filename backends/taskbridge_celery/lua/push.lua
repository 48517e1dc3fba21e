-- push: messages that the store keeps already go into a list, even when memory is full: they must run for it to be freed.
-- Those that have waited already go to the front, behind those that are there for the same reason.
-- KEYS[1] list: kombu pops at the right
-- ARGV[1] 1 to the front, else 0   ARGV[2..] messages, the first of them first
-- Returns nothing.

redis.call('LTRIM', KEYS[1], 0, -1) -- frees nothing, but may: a full server lets a script write that begins so
if ARGV[1] == '0' then
  for i = 2, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[i]) end
  return
end

local before, raw = {}, redis.call('RPOP', KEYS[1])
while raw and #before < 200 and string.find(raw, '"front":true', 1, true) do
  before[#before + 1] = raw
  raw = redis.call('RPOP', KEYS[1])
end
if raw then redis.call('RPUSH', KEYS[1], raw) end
for i = #ARGV, 2, -1 do redis.call('RPUSH', KEYS[1], ARGV[i]) end
for i = #before, 1, -1 do redis.call('RPUSH', KEYS[1], before[i]) end
