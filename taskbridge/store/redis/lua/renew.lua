-- renew: prolong claims that still stand by one lease. Only claims that stand in the slot of a living child are sent here.
-- KEYS[1] zset {tb}:leases  "claim id" -> end of the lease (unix ms)
-- ARGV[1] lease (ms)   ARGV[2..] "claim id"
-- Returns nothing.

local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
redis.call('ZREM', KEYS[1], '') -- frees first, so that it runs when memory is full
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', till, ARGV[i])
end
