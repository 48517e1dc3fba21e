-- take: take these messages out of one of Dramatiq's lists onto a drain's shelf, each in one step; those that are gone are not
-- there.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, redis id, newline, message
-- KEYS[2] zset {tb}:held:<backend>          owner -> when it was last seen alive (unix ms)
-- KEYS[3] list of redis ids: Dramatiq pops at the left; the messages lie in <list>.msgs
-- ARGV[1] owner   ARGV[2] last tag given   ARGV[3..] redis ids, the first of them first
-- Returns the tag of each; 0 where it is gone.

local tag, tags, time = tonumber(ARGV[2]), {}, redis.call('TIME')
for i = 3, #ARGV do
  tags[#tags + 1] = 0
  local raw = redis.call('LREM', KEYS[3], 1, ARGV[i]) == 1 and redis.call('HGET', KEYS[3] .. '.msgs', ARGV[i])
  if raw then
    tag = tag + 1
    redis.call('HDEL', KEYS[3] .. '.msgs', ARGV[i])
    redis.call('HSET', KEYS[1], tag, KEYS[3] .. '\n' .. ARGV[i] .. '\n' .. raw)
    tags[#tags] = tag
  end
end
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return tags
