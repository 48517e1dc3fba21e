-- read_evidence: the slices of one task that begin in some time, the oldest first.
-- KEYS[1] prefix of a hash a slice {tb}:evidence:<instant (unix ms)> <backend> <task>; add_evidence.lua has its fields
-- ARGV[1] task   ARGV[2] first instant (unix ms)   ARGV[3] the first that is not of it (unix ms)
-- ARGV[4] how long they are kept (ms)   ARGV[5] how long one is, and how far ahead it may lie (ms)   ARGV[6...] backends
-- Returns {instant, backend, "field count field count ...", instant, ...}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = tonumber(ARGV[5])
local first = math.ceil(math.max(tonumber(ARGV[2]), now - ARGV[4]) / length) * length
local last = math.min(tonumber(ARGV[3]) - 1, now + length)
local found = {}
for at = first, last, length do
  local instant = string.format('%d', at)
  for n = 6, #ARGV do
    local counts = redis.call('HGETALL', KEYS[1] .. instant .. ' ' .. ARGV[n] .. ' ' .. ARGV[1])
    if #counts > 0 then
      found[#found + 1] = instant
      found[#found + 1] = ARGV[n]
      found[#found + 1] = table.concat(counts, ' ')
    end
  end
end
return found
