-- put_chain: links that are to come. What is not begun by a first message within a day is forgotten; what is begun has no
-- end but its own, and its links stay as they are.
-- begins with flow.lua
-- ARGV[1] chain   ARGV[2] number of the first of these   ARGV[3] on_error   ARGV[4] call: "delay id queue body", or ''
-- ARGV[5..] "delay id queue body" of each
-- Returns nothing.

local key = KEYS[24] .. 'chain:' .. ARGV[1]
if redis.call('PTTL', key) == -1 then return end
redis.call('HSET', key, 'on_error', ARGV[3], 'call', ARGV[4], 'at', 0)
for i = 5, #ARGV do redis.call('HSET', key, tonumber(ARGV[2]) + i - 5, ARGV[i]) end
redis.call('PEXPIRE', key, 86400000)
enlist('chains', 'chain', ARGV[1])
