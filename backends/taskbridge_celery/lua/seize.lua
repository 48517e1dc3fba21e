-- seize: take what Celery's own workers held, and hold no more, onto a drain's shelf. One that was given back or acknowledged
-- meanwhile is not there, or is held anew.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, message
-- KEYS[2] zset {tb}:held:<backend>          owner -> when it was last seen alive (unix ms)
-- KEYS[3] hash unacked        kombu's tag -> message, exchange and routing key as JSON
-- KEYS[4] zset unacked_index  kombu's tag -> since when (unix s)
-- ARGV[1] owner   ARGV[2] last tag given
-- ARGV[3..] kombu's tag, since when it was held, list, message; repeated
-- Returns the tag of each; 0 where it is gone.

local tag, tags, time = tonumber(ARGV[2]), {}, redis.call('TIME')
for i = 3, #ARGV, 4 do
  tags[#tags + 1] = 0
  local since = redis.call('ZSCORE', KEYS[4], ARGV[i])
  if since and tonumber(since) == tonumber(ARGV[i + 1]) and redis.call('HDEL', KEYS[3], ARGV[i]) == 1 then
    redis.call('ZREM', KEYS[4], ARGV[i])
    tag = tag + 1
    redis.call('HSET', KEYS[1], tag, ARGV[i + 2] .. '\n' .. ARGV[i + 3])
    tags[#tags] = tag
  end
end
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return tags
