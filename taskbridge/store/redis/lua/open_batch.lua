-- open_batch: a batch that is to be filled; opened again, it is what it was.
-- begins with flow.lua
-- ARGV[1] id   ARGV[2] all_done or all_succeeded   ARGV[3] then, ARGV[4] on error: "delay id queue body", or ''
-- ARGV[5] id of the message whose task fills it: what that has put in is remembered; '' for none
-- Returns 1, or 0 when it was there.

local key = KEYS[24] .. 'batch:' .. ARGV[1]
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, 'when', ARGV[2], 'made', now, 'total', 0, 'open', 0, 'done', 0, 'failed', 0, 'dropped', 0)
if ARGV[3] ~= '' then redis.call('HSET', key, 'then', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', key, 'error', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', key, 'builder', ARGV[5]) end
redis.call('ZADD', KEYS[24] .. 'batches', now, ARGV[1])
keep_batch(ARGV[1], LAST_RESORT)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[24] .. 'batches:until', '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[24] .. 'batches', id)
  redis.call('ZREM', KEYS[24] .. 'batches:until', id)
end
return 1
