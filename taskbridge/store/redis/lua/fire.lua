-- fire: a tick's message and the next tick are written together, or neither is. Who saw another version is too late.
-- begins with record.lua
-- The last of KEYS, however many record.lua has:
--   prefix {tb}:schedule:   hash per schedule, see timetable.lua
--   zset   {tb}:schedules   schedule -> until when the word of who declared it stands (unix ms)
--   zset   {tb}:ticks       schedule -> when its next tick is looked at (unix ms); +inf while it has none
-- ARGV[1] name   ARGV[2] version   ARGV[3] tick   ARGV[4] next tick; 0 for none   ARGV[5] overlap: allow or skip
-- ARGV[6] wait (ms)   ARGV[7] 1 when no worker of ours runs it   ARGV[8] how many were passed over
-- ARGV[9] id; '' for a tick that was missed   ARGV[10] queue   ARGV[11] body
-- ARGV[12..] keys under which it is the only one: until, key, time to live (ms); repeated
-- Returns fired, skipped, missed or stale.

local schedule, ticks = KEYS[#KEYS - 2] .. ARGV[1], KEYS[#KEYS]
local tick, next_tick, id, queue = tonumber(ARGV[3]), ARGV[4], ARGV[9], ARGV[10]
local passed = tonumber(ARGV[8])
local f = redis.call('HMGET', schedule, 'version', 'last', 'id')
if f[1] ~= ARGV[2] then return 'stale' end

-- A chunked task's message is the first chunk of a run that goes on in others; KEYS[24] is as in flow.lua.
local function unfinished(other)
  if not other or other == '' then return false end
  local st = redis.call('HGET', KEYS[1] .. other, 'st')
  return (st and st ~= 'DONE' and st ~= 'DEAD') or redis.call('HGET', KEYS[24] .. 'run:' .. other, 'state') == 'running'
end

local keys, lines = {}, {}
for i = 12, #ARGV, 3 do
  keys[#keys + 1] = { key = ARGV[i + 1], ttl = ARGV[i + 2] }
  lines[#lines + 1] = ARGV[i] .. ' ' .. ARGV[i + 1]
end

local function taken()
  for _, one in ipairs(keys) do
    if redis.call('EXISTS', KEYS[23] .. one.key) == 1 then return true end
  end
end

local became = 'fired'
if id == '' or tick <= tonumber(f[2] or 0) or redis.call('EXISTS', KEYS[1] .. id) == 1 then
  became = 'missed'
  if id ~= '' then passed = passed + 1 end
elseif (ARGV[5] == 'skip' and unfinished(f[3])) or taken() then
  became = 'skipped'
else
  local at = now + tonumber(ARGV[6])
  local st = at > now and 'DELAYED' or 'READY'
  redis.call('HSET', KEYS[1] .. id, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', ARGV[11])
  if ARGV[7] == '1' then redis.call('HSET', KEYS[1] .. id, 'foreign', 1) end
  if #keys > 0 then redis.call('HSET', KEYS[1] .. id, 'same', table.concat(lines, '\n')) end
  for _, one in ipairs(keys) do redis.call('SET', KEYS[23] .. one.key, id, 'PX', one.ttl) end
  redis.call('ZADD', KEYS[3], at, id)
  count({ st = st, queue = queue }, 1)
  ring(at)
  redis.call('HSET', schedule, 'id', id)
end
if became ~= 'missed' then redis.call('HINCRBY', schedule, became, 1) end
if passed > 0 then redis.call('HINCRBY', schedule, 'missed', passed) end
redis.call('HSET', schedule, 'last', math.max(tick, tonumber(f[2] or 0)), 'tick', next_tick)
redis.call('HINCRBY', schedule, 'version', 1)
redis.call('ZADD', ticks, next_tick == '0' and '+inf' or next_tick, ARGV[1])
return became
