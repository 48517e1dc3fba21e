-- write_version: the next version of a document, unless another follows that one. Told twice, it is written once.
-- KEYS[1] list {tb}:routes or another   five words a version, the newest last: version, when (unix ms), who, note, document
-- ARGV[1] version that it follows   ARGV[2] who   ARGV[3] note   ARGV[4] document   ARGV[5] how many are kept
-- Returns its version; 0 when another follows that one.

local newest = redis.call('LRANGE', KEYS[1], -5, -1)
local version, follows = newest[1] or '0', string.format('%d', ARGV[1] + 1)
if version == follows and newest[3] == ARGV[2] and newest[4] == ARGV[3] and newest[5] == ARGV[4] then
  return tonumber(follows)
end
if version ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local at = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('LTRIM', KEYS[1], -5 * (ARGV[5] - 1), -1) -- frees first, so that it runs when memory is full
redis.call('RPUSH', KEYS[1], follows, at, ARGV[2], ARGV[3], ARGV[4])
return tonumber(follows)
