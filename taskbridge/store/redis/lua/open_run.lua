-- open_run: the first chunk of a run says what the run is; said again, it is told what was said first.
-- begins with flow.lua
-- ARGV[1] id of the message, which is the run's   ARGV[2] its claim   ARGV[3] task   ARGV[4] bounds   ARGV[5] total, or -1
-- ARGV[6] most that may be open, or -1   ARGV[7] pause (ms)   ARGV[8] cursor of the first chunk
-- Returns the bounds; nil when that claim does not stand, or the run has gone on without it.

local m = read(ARGV[1])
if m.st ~= 'RUN' or m.claim ~= ARGV[2] then return false end
local key = KEYS[24] .. 'run:' .. m.id
local bounds = redis.call('HGET', key, 'bounds')
if bounds then return is_chunk(m) and bounds end -- else a copy that has outlived its marker: the run is elsewhere
redis.call('HSET', key, 'task', ARGV[3], 'queue', m.queue, 'bounds', ARGV[4], 'expected', ARGV[5], 'max', ARGV[6], 'pause',
  ARGV[7], 'at', ARGV[8], 'chunk', 0, 'current', m.id, 'total', 0, 'open', 0, 'progress', 0, 'planned', now, 'started', now, 'state',
  'running', 'round', 0)
enlist('runs', 'run', m.id)
redis.call('HSET', KEYS[1] .. m.id, 'part', m.part == '' and 'run ' .. m.id or 'run ' .. m.id .. '\n' .. m.part)
return ARGV[4]
