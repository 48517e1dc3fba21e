-- announced: what stands announced of one kind.
-- KEYS[1] hash {tb}:doc:<kind>        key -> document
-- KEYS[2] zset {tb}:doc:<kind>:until  key -> when it lapses (unix ms)
-- Returns {key, document, ...}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf')) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', KEYS[1], key) or ''
end
return found
