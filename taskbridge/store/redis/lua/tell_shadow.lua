-- tell_shadow: how one side of a pair has ended; where both are known they are compared. Refused when memory is full.
-- begins with shadow.lua
-- ARGV[7] side: original or copy   ARGV[8] "outcome digest run time (us) unsent backend why"; a digest of '-' is none
-- ARGV[9] how many disagreements are kept; each is seven words of the list: when (unix ms), rule, task, id, by what, and what
--   the original and the copy were told as
-- Returns known, first, agreed, outcome or result.

if redis.call('HEXISTS', pair, 'done') == 1 then return 'known' end
if redis.call('HSETNX', pair, ARGV[7], ARGV[8]) == 0 then return 'known' end

local function parts(told)
  local outcome, digest, ran, unsent = string.match(told, '^(%S+) (%S+) (%d+) (%d+) ')
  return { outcome = outcome, digest = digest, ran = tonumber(ran), unsent = tonumber(unsent) }
end

heard()
count(ARGV[7] == 'copy' and 'copies' or 'originals', 1)
count('unsent', parts(ARGV[8]).unsent)
counted()
local both = redis.call('HMGET', pair, 'original', 'copy')
if not (both[1] and both[2]) then return 'first' end

local original, copy = parts(both[1]), parts(both[2])
local verdict = 'agreed'
if original.outcome ~= copy.outcome then
  verdict = 'outcome'
elseif original.digest ~= copy.digest and original.digest ~= '-' and copy.digest ~= '-' then
  verdict = 'result'
end
count(verdict, 1)
count('original_us', original.ran)
count('copy_us', copy.ran)
redis.call('HDEL', pair, 'original', 'copy')
redis.call('HSET', pair, 'done', 1)
if verdict ~= 'agreed' then
  local last = KEYS[1] .. 'last'
  redis.call('RPUSH', last, string.format('%d', now), ARGV[1], ARGV[2], ARGV[3], verdict, both[1], both[2])
  redis.call('LTRIM', last, -7 * ARGV[9], -1)
  redis.call('PEXPIRE', last, ARGV[6])
end
return verdict
