-- open_batch: a batch that is to be filled; opened again, it is what it was.
-- begins with flow.lua
-- ARGV[1] id   ARGV[2] all_done or all_succeeded   ARGV[3] then, ARGV[4] on error: "delay id queue body", or ''
-- Returns 1, or 0 when it was there.

local key = KEYS[24] .. 'batch:' .. ARGV[1]
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, 'when', ARGV[2], 'made', now, 'total', 0, 'open', 0, 'done', 0, 'failed', 0, 'dropped', 0)
if ARGV[3] ~= '' then redis.call('HSET', key, 'then', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', key, 'error', ARGV[4]) end
redis.call('PEXPIRE', key, LAST_RESORT)
enlist('batches', ARGV[1])
return 1
