-- take: take these messages off one of Celery's lists onto a drain's shelf, each in one step; those that are gone are not there.
-- KEYS[1] hash {tb}:held:<backend>:<owner>  tag -> list, newline, message
-- KEYS[2] zset {tb}:held:<backend>          owner -> when it was last seen alive (unix ms)
-- KEYS[3] list; kombu pops at the right
-- ARGV[1] owner   ARGV[2] last tag given   ARGV[3..] messages, the first of them first
-- Returns the tag of each; 0 where it is gone.

local tag, tags, time = tonumber(ARGV[2]), {}, redis.call('TIME')
for i = 3, #ARGV do
  tags[#tags + 1] = 0
  if redis.call('LREM', KEYS[3], -1, ARGV[i]) == 1 then
    tag = tag + 1
    redis.call('HSET', KEYS[1], tag, KEYS[3] .. '\n' .. ARGV[i])
    tags[#tags] = tag
  end
end
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return tags
