-- steer_run: pause a run, let it go on, or end it. A chunk that runs is not disturbed; its run obeys when it ends.
-- begins with flow.lua
-- ARGV[1] id   ARGV[2] pause, resume or cancel   ARGV[3] why it is cancelled, or ''
-- Returns ok, unknown, or ended.

local key = KEYS[24] .. 'run:' .. ARGV[1]
local f = redis.call('HMGET', key, 'current', 'ended')
if not f[1] then return 'unknown' end
if f[2] then return 'ended' end
free_first()
local m = read(f[1])
if ARGV[2] == 'pause' then
  redis.call('HSET', key, 'paused', now)
  if m.st == 'DELAYED' then
    redispatch(m, 'HELD', tonumber(redis.call('ZSCORE', KEYS[3], m.id) or now))
    note(m, 'held', 'its run is paused')
  elseif m.st == 'READY' or m.st == 'OUT' or m.st == 'LOCKED' or m.st == 'THROTTLED' or
    m.st == 'PAUSED' then
    redispatch(m, 'HELD', now)
    note(m, 'held', 'its run is paused')
  end
elseif ARGV[2] == 'resume' then
  redis.call('HDEL', key, 'paused')
  go_on(ARGV[1])
else
  redis.call('HSET', key, 'stop', now, 'reason', ARGV[3])
  if m.st and m.st ~= 'RUN' then
    settle_done(m, nil, ARGV[3] ~= '' and ARGV[3] or 'cancelled')
    redis.call('PEXPIRE', KEYS[1] .. m.id, LONG_WINDOW) -- its copy may lie in a queue for long
  end
end
return 'ok'
