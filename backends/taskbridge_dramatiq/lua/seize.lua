-- seize: take what a worker of Dramatiq's own held, which is gone, onto a drain's shelf.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, redis id, newline, message
-- KEYS[2] zset {tb}:held:<backend>          owner -> when it was last seen alive (unix ms)
-- KEYS[3] zset dramatiq:__heartbeats__      broker id -> when it was last heard of (unix ms)
-- KEYS[4] set  dramatiq:__acks__.<broker id>.<queue>  redis ids
-- KEYS[5] hash dramatiq:<queue>.msgs        redis id -> message
-- ARGV[1] owner   ARGV[2] last tag given   ARGV[3] broker id   ARGV[4] when it was last heard of   ARGV[5] list
-- ARGV[6..] redis ids
-- Returns the tag of each; 0 where it is gone, or its worker was heard of again.

local tag, tags, time = tonumber(ARGV[2]), {}, redis.call('TIME')
local heard = redis.call('ZSCORE', KEYS[3], ARGV[3])
for i = 6, #ARGV do
  tags[#tags + 1] = 0
  local raw = tonumber(heard or 0) <= tonumber(ARGV[4]) and redis.call('HGET', KEYS[5], ARGV[i])
  if raw and redis.call('SREM', KEYS[4], ARGV[i]) == 1 then
    tag = tag + 1
    redis.call('HDEL', KEYS[5], ARGV[i])
    redis.call('HSET', KEYS[1], tag, ARGV[5] .. '\n' .. ARGV[i] .. '\n' .. raw)
    tags[#tags] = tag
  end
end
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return tags
