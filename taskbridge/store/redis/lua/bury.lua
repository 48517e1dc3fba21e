-- bury: bytes in a queue that are no message go to the dead letters as they are, and are acknowledged.
-- begins with flow.lua
-- KEYS[26] hash {tb}:held:<owner>  the broker's copy
-- ARGV[1] id   ARGV[2] queue   ARGV[3] bytes   ARGV[4] why   ARGV[5] tag of the broker's copy in KEYS[26]
--         '' when the broker is another server
-- Returns nothing.

local m = read(ARGV[1])
if not m.st then
  m.queue = ARGV[2]
  settle_dead(m, ARGV[4])
  redis.call('HSET', KEYS[1] .. m.id, 'seq', 1, 'body', ARGV[3], 'raw', 1)
end
if ARGV[5] ~= '' then redis.call('HDEL', KEYS[26], ARGV[5]) end
