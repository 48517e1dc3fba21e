-- halts: what workers are to halt: queues that they leave alone, tasks that begin lets wait, and processes that they end.
-- KEYS[1] hash {tb}:paused  "task NAME", "queue NAME" or "key KEY" -> state, when (unix ms), who and why, a line each
-- KEYS[2] zset {tb}:ended   "claim id" whose process is to be ended -> when that was said (unix ms)
-- KEYS[3] string {tb}:record_all  while messages of tasks with ledger=False are recorded, too
-- ARGV[1] for how long an end is said (ms)
-- Returns {{queue, ...}, {task, ...}, {"claim id", ...}, 1 while all is recorded, when the last of the queues was paused (unix
-- ms; 0 for none)}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local halted = { queue = {}, task = {}, key = {} }
local since = 0
local said = redis.call('HGETALL', KEYS[1])
for i = 1, #said, 2 do
  local kind, name = string.match(said[i], '^(%l+) (.*)$')
  local at = string.match(said[i + 1], '^paused\n(%d+)\n')
  if at then table.insert(halted[kind], name) end
  if at and kind == 'queue' then since = math.max(since, tonumber(at)) end
end
local ended = redis.call('ZRANGEBYSCORE', KEYS[2], now - tonumber(ARGV[1]), '+inf')
return { halted.queue, halted.task, ended, redis.call('EXISTS', KEYS[3]), since }
