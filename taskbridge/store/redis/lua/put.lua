-- put: keep new messages until they are due. A message that is known already is left alone.
-- begins with flow.lua
-- ARGV[1] wait (ms)   ARGV[2] what counts them, ARGV[3] chunk that enqueues them, ARGV[4] its claim: see refused_within
-- ARGV[5] 1 when they are foreign
-- ARGV[6..] id, queue, body, part of its own ("chain <link> <id>" or ''), repeated
-- Returns {1, 0, ...}: 1 for each that was new; or why all were refused: see refused_within and refused_link.

local created, new, at = {}, 0, now + tonumber(ARGV[1])
local st, queues = at > now and 'DELAYED' or 'READY', {}
local refused = refused_within(ARGV[2], ARGV[3], ARGV[4])
for i = 6, #ARGV, 4 do refused = refused or refused_late(ARGV[i]) or refused_link(ARGV[i], ARGV[i + 3]) end
if refused then return refused end
for i = 6, #ARGV, 4 do
  local id, queue, part = ARGV[i], ARGV[i + 1], belongs(ARGV[i + 3], ARGV[2])
  local key = KEYS[1] .. id
  if sent_before(id) or redis.call('EXISTS', key) == 1 then
    created[#created + 1] = 0
  else
    if part == '' then
      redis.call('HSET', key, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', ARGV[i + 2])
    else
      redis.call('HSET', key, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', ARGV[i + 2], 'part', part)
    end
    if ARGV[5] == '1' then redis.call('HSET', key, 'foreign', 1) end
    if ARGV[i + 3] ~= '' then redis.call('PERSIST', KEYS[24] .. 'chain:' .. chain_in(part)) end
    redis.call('ZADD', KEYS[3], at, id)
    queues[queue] = (queues[queue] or 0) + 1
    created[#created + 1] = 1
    new = new + 1
  end
end
for queue, n in pairs(queues) do count({ st = st, queue = queue }, n) end
join(ARGV[2], new)
ring(at)
return created
