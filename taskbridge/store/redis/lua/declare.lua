-- declare: what code says of schedules, for one lease. Of two that say it the newer one counts, while it lives.
-- KEYS[1] prefix {tb}:schedule:   hash per schedule, see timetable.lua
-- KEYS[2] zset   {tb}:schedules   schedule -> until when the word of who declared it stands (unix ms)
-- KEYS[3] zset   {tb}:ticks       schedule -> when its next tick is looked at (unix ms); +inf while it has none
-- KEYS[4] list   {tb}:bell        wakes the relay; at most one token
-- ARGV[1] stamp   ARGV[2] lease (ms)   ARGV[3..] name, version, document, next tick (0 for none, '' keeps it); repeated
-- Returns {1, 0, ...}: 1 for each that stands now.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp, stands, rings = tonumber(ARGV[1]), {}, false

for i = 3, #ARGV, 4 do
  local name, version, document, tick = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local key = KEYS[1] .. name
  local f = redis.call('HMGET', key, 'version', 'stamp', 'declared', 'paused', 'tick')
  local lapses = tonumber(redis.call('ZSCORE', KEYS[2], name) or 0)
  if (f[1] or '0') == version and (stamp >= tonumber(f[2] or 0) or lapses < now) then
    local had = f[5] or '0'
    if tick == '' then tick = had end
    if f[3] ~= document or (had == '0' and tick ~= '0') then -- it had stopped where an operator's word outlived it
      redis.call('HSET', key, 'declared', document, 'tick', tick)
      redis.call('HINCRBY', key, 'version', 1)
      redis.call('ZADD', KEYS[3], (f[4] == '1' or tick == '0') and '+inf' or tick, name)
      rings = true
    end
    redis.call('HSET', key, 'stamp', ARGV[1])
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), name)
    stands[#stands + 1] = 1
  else
    stands[#stands + 1] = 0
  end
end
if rings and redis.call('LLEN', KEYS[4]) == 0 then redis.call('LPUSH', KEYS[4], 1) end
return stands
