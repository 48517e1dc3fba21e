-- adopt: the store takes over copies that lie in an engine's queues. Their numbers grow, so that every copy of before is waste
-- paper: asked again, it finds that it has them. What is due at once is leased to the caller, who publishes and marks it.
-- begins with flow.lua
-- KEYS[26] hash {tb}:held:<owner>  the engine's copies, forgotten here
-- ARGV[1] lease (ms)   ARGV[2] backend where they lie, or ''
-- ARGV[3..] id, seq, attempt, queue, body, due (unix ms), tag in KEYS[26] ('' when the broker is another server); repeated
-- Returns {state, seq, ...}: READY is to be published; DELAYED and HELD wait here; KNOWN is run, or kept, or over; GONE is a
-- copy that somebody else has by now.

local lease = tonumber(ARGV[1])

local function adopted(id, seq, attempt, queue, body, due)
  local m = read(id)
  if m.st and (m.st ~= 'OUT' or seq < m.seq) then return 'KNOWN' end
  local st, at = 'READY', now + lease
  if due > now then st, at = 'DELAYED', due end
  if m.st then
    m.seq = seq
    if not redispatch(m, st, at) then return 'KNOWN' end -- its run was to end
    note(m, 'adopted', ARGV[2], due)
    return m.st, m.seq
  end
  redis.call('HSET', KEYS[1] .. id, 'st', st, 'seq', seq + 1, 'attempt', attempt, 'queue', queue, 'body', body)
  redis.call('ZADD', KEYS[3], at, id)
  count({ st = st, queue = queue }, 1)
  ring(at)
  note(m, 'adopted', ARGV[2], due)
  return st, seq + 1
end

local answers = {}
for i = 3, #ARGV, 7 do
  local id, tag, st, seq = ARGV[i], ARGV[i + 6], 'GONE', 0
  if tag == '' or redis.call('HDEL', KEYS[26], tag) == 1 then -- frees: a full store lets it go on
    st, seq = adopted(id, tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], tonumber(ARGV[i + 5]))
  end
  if st == 'READY' then redis.call('HINCRBY', KEYS[1] .. id, 'pubs', 1) end -- counted here: the caller may die
  answers[#answers + 1], answers[#answers + 2] = st, seq or 0
end
return answers
