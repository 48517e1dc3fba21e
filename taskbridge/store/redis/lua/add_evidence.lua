-- add_evidence: add counts to slices; told twice under one turn, they are added once. A full server refuses them whole.
-- KEYS[1] zset {tb}:watched        task -> until when it is watched (unix ms)
-- KEYS[2] prefix of a hash a slice {tb}:evidence:<instant (unix ms)> <backend> <task>
--         s, f -> attempts that succeeded, failed; r<bucket>, w<bucket> -> how many ran, waited so long
-- KEYS[3] prefix of a string a teller {tb}:told:   its last turn
-- KEYS[4] hash {tb}:attended       task -> "since until" (unix ms)
-- ARGV[1] teller   ARGV[2] turn   ARGV[3] how long all of it is kept (ms)   ARGV[4] how far ahead a slice may lie (ms)
-- ARGV[5...] task, instant (unix ms), backend, how many counts; then field and count of each; the next slice
-- Returns nothing.

local told = KEYS[3] .. ARGV[1]
if tonumber(redis.call('GET', told) or '0') >= tonumber(ARGV[2]) then return end
redis.call('SET', told, ARGV[2], 'PX', ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local i = 5

local function watched(task)
  if tonumber(redis.call('ZSCORE', KEYS[1], task) or '0') > now then return true end
  return tonumber(string.match(redis.call('HGET', KEYS[4], task) or '', ' (%d+)$') or '0') > now
end

while i <= #ARGV do
  local task, at, backend = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local first, last = i + 4, i + 3 + 2 * ARGV[i + 3]
  if watched(task) and tonumber(at) <= now + tonumber(ARGV[4]) then
    local key = KEYS[2] .. at .. ' ' .. backend .. ' ' .. task
    for n = first, last, 2 do redis.call('HINCRBY', key, ARGV[n], ARGV[n + 1]) end
    redis.call('PEXPIREAT', key, string.format('%d', at + ARGV[3])) -- what is too old ends at once
  end
  i = last + 1
end
