-- rewind_run: a run that is paused or has failed goes on from another place, in a chunk of its own.
-- begins with flow.lua
-- ARGV[1] run   ARGV[2] id of the chunk that stands   ARGV[3] id of the new one   ARGV[4] its body   ARGV[5] cursor
-- ARGV[6] how much is done then
-- Returns ok, unknown, ended, or running (it is neither paused nor has it failed, its chunk runs, or it has gone on meanwhile).

local key = KEYS[24] .. 'run:' .. ARGV[1]
local f = redis.call('HMGET', key, 'current', 'paused', 'state')
if not f[1] then return 'unknown' end
if f[3] ~= 'running' and f[3] ~= 'failed' then return 'ended' end
local m = read(f[1])
local stands = m.st == 'DEAD' or (f[2] and (m.st == 'HELD' or m.st == 'PARKED'))
if f[3] == 'failed' and m.st ~= 'DEAD' then return 'ended' end -- its dead letter was purged
if f[1] ~= ARGV[2] or not stands then return 'running' end
free_first()
if m.st == 'DEAD' then revive(m) end
redis.call('HSET', key, 'at', ARGV[5], 'progress', ARGV[6], 'base', ARGV[6], 'since', now)
redis.call('HINCRBY', key, 'round', 1)
follow(m, ARGV[3], ARGV[4], now)
settle_done(m, nil, 'rewound')
return 'ok'
