-- timetable: schedules as they stand, all of them or those whose next tick is due.
-- KEYS[1] prefix {tb}:schedule:   hash per schedule: version declared stamp changes paused tick last id fired skipped missed
-- KEYS[2] zset   {tb}:schedules   schedule -> until when the word of who declared it stands (unix ms)
-- KEYS[3] zset   {tb}:ticks       schedule -> when its next tick is looked at (unix ms); +inf while it has none
-- ARGV[1] how many that are due, the longest due first; '' for all
-- Returns {now, name, lapses, and the fields above, ...}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names
if ARGV[1] == '' then
  names = redis.call('ZRANGE', KEYS[2], 0, -1)
else
  names = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, ARGV[1])
end

local found = { now }
for _, name in ipairs(names) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('ZSCORE', KEYS[2], name) or '0'
  local f = redis.call('HMGET', KEYS[1] .. name, 'version', 'declared', 'stamp', 'changes', 'paused', 'tick', 'last', 'id',
    'fired', 'skipped', 'missed')
  for i = 1, 11 do found[#found + 1] = f[i] or '' end
end
return found
