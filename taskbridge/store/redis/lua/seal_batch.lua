-- seal_batch: nothing more comes; when nothing is open any more it calls back. It runs when memory is full.
-- begins with flow.lua
-- ARGV[1] id
-- Returns 1, or 0 when there is no such batch.

free_first()
local key = KEYS[24] .. 'batch:' .. ARGV[1]
if redis.call('EXISTS', key) == 0 then return 0 end
if redis.call('HSETNX', key, 'sealed', now) == 1 then complete(ARGV[1]) end
return 1
