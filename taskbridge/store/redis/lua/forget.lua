-- forget: nobody has declared these schedules for long. What an operator has said of one outlives its declaration.
-- KEYS[1] prefix {tb}:schedule:   hash per schedule, see timetable.lua
-- KEYS[2] zset   {tb}:schedules   schedule -> until when the word of who declared it stands (unix ms)
-- KEYS[3] zset   {tb}:ticks       schedule -> when its next tick is looked at (unix ms); +inf while it has none
-- ARGV[1] for how long (ms)
-- Returns the names of those that have ended now.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ended = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[1]))) do
  local key = KEYS[1] .. name
  local f = redis.call('HMGET', key, 'tick', 'changes', 'paused')
  local word = (f[2] or '') ~= '' or f[3] == '1'
  redis.call('ZREM', KEYS[3], name)
  if not word then
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[2], name)
    ended[#ended + 1] = name
  elseif f[1] ~= '0' then
    redis.call('HSET', key, 'tick', 0)
    redis.call('HINCRBY', key, 'version', 1)
    ended[#ended + 1] = name
  end
end
return ended
