-- flow: what a message is part of, and what follows when it ends. Every script that may end one begins with this.
-- begins with record.lua
-- KEYS[24] prefix {tb}:flow:
--   chain:<id>     hash  link -> text of each that is to come (see make); on_error: stop, continue or call; call; at
--   batch:<id>     hash  total open done failed dropped when then error builder sealed made ended
--   batch-sent:<id> set  ids of what the task that fills it has put in
--   run:<id>       hash  task queue bounds expected progress at chunk current round max pause planned started paused stop
--                        reason state error ended; base and since: from where and when it was rewound; of what it has enqueued
--                        total open done failed dropped. One that has failed stays as long as its dead letter
--   run:<id>:sent  set   ids of what its present chunk has enqueued
--   chains, batches, runs  zset id -> when it was made (unix ms)
--   batches:until  zset id of those without open members -> when it is forgotten (unix ms)

-- What follows a link has this where the result goes; `call` has it where the id of the failed link goes.
local HOLE = '"\\u0000result"'
-- How long what has ended can be looked at.
local REMEMBERED = 86400000

local function parts_of(m)
  local parts = { tallies = {} }
  for kind, rest in string.gmatch(m.part, '(%l+) ([^\n]+)') do
    if kind == 'in' then
      parts.tallies[#parts.tallies + 1] = rest
    elseif kind == 'run' then
      parts.run = rest
    else
      parts.link, parts.chain = string.match(rest, '^(%d+) (.+)$')
    end
  end
  return parts
end

-- enlist: where it is found by who does not know its id; old ones that are gone are forgotten.
local function enlist(index, kind, id)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[24] .. index, '-inf', now - LAST_RESORT, 'LIMIT', 0, 100)) do
    if redis.call('EXISTS', KEYS[24] .. kind .. ':' .. old) == 0 then redis.call('ZREM', KEYS[24] .. index, old) end
  end
  redis.call('ZADD', KEYS[24] .. index, now, id)
end

-- make: a message of the store's own making, under an id that only it can have. `text` is "delay id queue body", with a
-- mark behind the delay (ms) where it is for others' workers: foreign, and no part of anything, for nobody tells how it
-- ends. `value` fills its hole, if it has one. True when it belongs to `part`.
local function make(text, value, part)
  local delay, away, id, queue, body = string.match(text, '^(%d+)(!?) (%S+) (%S+) (.*)$')
  local key = KEYS[1] .. id
  if redis.call('EXISTS', key) == 1 then return away == '' end
  local from, to
  if value then from, to = string.find(body, HOLE, 1, true) end
  if from then body = string.sub(body, 1, from - 1) .. value .. string.sub(body, to + 1) end
  local at = now + tonumber(delay)
  local st = at > now and 'DELAYED' or 'READY'
  redis.call('HSET', key, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', body, 'part',
    away == '' and part or '', 'fresh', string.format('%.0f', at))
  if away ~= '' then redis.call('HSET', key, 'foreign', 1) end
  redis.call('ZADD', KEYS[3], at, id)
  count({ st = st, queue = queue }, 1)
  ring(at)
  return away == ''
end

local function lines(parts)
  local found = {}
  for _, of in ipairs(parts.tallies) do found[#found + 1] = 'in ' .. of end
  return found
end

local function chunk_of(parts) return parts.run and 'run ' .. parts.run or '' end

-- belongs: a message's part: its own line, then what counts it.
local function belongs(own, tallies)
  if own ~= '' and tallies ~= '' then return own .. '\n' .. tallies end
  return own .. tallies
end

-- advance: a link has ended. True when the next one is ready, and counts for it.
local function advance(m, parts, how, result)
  local key = KEYS[24] .. 'chain:' .. parts.chain
  local failed = how == 'failed'
  if failed then
    local f = redis.call('HMGET', key, 'on_error', 'call')
    if not f[1] or f[1] == 'stop' then return false end -- it stays as it is: its dead letter can be replayed
    redis.call('HSET', KEYS[1] .. m.id, 'part', chunk_of(parts)) -- the chain goes on without it
    if f[1] == 'call' then
      make(f[2], cjson.encode(m.id), '')
      how = 'dropped'
    end
  end
  local link = tonumber(parts.link) + 1
  local text = how ~= 'dropped' and redis.call('HGET', key, link)
  local part = lines(parts)
  table.insert(part, 1, 'chain ' .. string.format('%d', link) .. ' ' .. parts.chain)
  if text and make(text, result or 'null', table.concat(part, '\n')) then
    redis.call('HDEL', key, link)
    redis.call('HSET', key, 'at', link)
    return true
  end
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[24] .. 'chains', parts.chain)
  if failed then -- it was what counted, and may be replayed
    redis.call('HSET', KEYS[1] .. m.id, 'part', belongs(chunk_of(parts), table.concat(lines(parts), '\n')))
  end
  return false
end

-- keep_batch: for so long from now on (ms); as long as it takes without, for it has open members.
local function keep_batch(id, ms)
  for _, of in ipairs({ 'batch:', 'batch-sent:' }) do
    local key = KEYS[24] .. of .. id
    if ms then redis.call('PEXPIRE', key, ms) else redis.call('PERSIST', key) end
  end
  if ms then
    redis.call('ZADD', KEYS[24] .. 'batches:until', now + ms, id)
  else
    redis.call('ZREM', KEYS[24] .. 'batches:until', id)
  end
end

-- complete: a batch that is sealed and has no open member calls back, each callback once.
local function complete(id)
  local key = KEYS[24] .. 'batch:' .. id
  local f = redis.call('HMGET', key, 'sealed', 'open', 'failed', 'when', 'then', 'error')
  if tonumber(f[2]) > 0 then return end
  local failed = tonumber(f[3]) > 0
  if not f[1] then return keep_batch(id, LAST_RESORT) end
  if f[5] and (not failed or f[4] == 'all_done') then
    redis.call('HDEL', key, 'then')
    make(f[5], nil, '')
  end
  if f[6] and failed then
    redis.call('HDEL', key, 'error')
    make(f[6], nil, '')
  end
  redis.call('HSET', key, 'ended', now)
  keep_batch(id, failed and LAST_RESORT or REMEMBERED)
end

-- go_on: the chunk that is held is due, unless its run is paused or too much of what it has enqueued is yet to end.
local function go_on(id)
  local key = KEYS[24] .. 'run:' .. id
  local f = redis.call('HMGET', key, 'current', 'paused', 'open', 'max')
  if not f[1] or f[2] or (tonumber(f[4]) >= 0 and tonumber(f[3]) > tonumber(f[4])) then return end
  local m = read(f[1])
  if m.st ~= 'HELD' then return end
  local at = math.max(now, tonumber(redis.call('HGET', KEYS[1] .. m.id, 'due') or 0))
  depart(m)
  m.st = at > now and 'DELAYED' or 'READY'
  redis.call('HSET', KEYS[1] .. m.id, 'st', m.st)
  if m.trail then note(m, 'resumed', '', at) end -- a chunk that goes on at once has nothing to tell
  if m.fresh then redis.call('HSET', KEYS[1] .. m.id, 'fresh', string.format('%.0f', at)) end
  redis.call('HSET', key, 'planned', string.format('%.0f', at))
  redis.call('ZADD', KEYS[3], at, m.id)
  count(m, 1)
  ring(at)
end

function told_by_run(m)
  local f = redis.call('HMGET', KEYS[24] .. 'run:' .. stands_as(m), 'stop', 'paused', 'reason')
  return (f[1] and 'stop') or (f[2] and 'paused'), f[3] and f[3] ~= '' and f[3] or 'cancelled'
end

-- tally: of what counts a message, `by` is 1 when it has ended, -1 when it is replayed.
local function tally(of, how, by)
  local key = KEYS[24] .. of
  if redis.call('EXISTS', key) == 0 then return end
  redis.call('HINCRBY', key, how, by)
  redis.call('HINCRBY', key, 'open', -by)
  local kind, id = string.match(of, '^(%l+):(.+)$')
  if kind == 'run' then
    go_on(id)
  elseif by > 0 then
    complete(id)
  else
    redis.call('HDEL', key, 'ended')
    keep_batch(id)
  end
end

-- forget_run: it can be looked at for a while.
local function forget_run(key)
  redis.call('PEXPIRE', key, REMEMBERED)
  redis.call('DEL', key .. ':sent')
end

-- run_ended: how the run has ended: with its last chunk, or because it was told to.
local function run_ended(id, how, why)
  local key = KEYS[24] .. 'run:' .. id
  local cancelled = how ~= 'failed' and redis.call('HEXISTS', key, 'stop') == 1
  local state = cancelled and 'cancelled' or how
  if state == 'cancelled' then why = redis.call('HGET', key, 'reason') end
  redis.call('HSET', key, 'state', state, 'error', state ~= 'done' and why or '', 'ended', now)
  redis.call('HDEL', key, 'paused')
  if how ~= 'failed' then forget_run(key) end
  return cancelled and 'dropped' or how
end

-- ends: done, failed, dropped, or purged after it had failed. What it was part of goes on with the next, or has one less to wait for.
function ends(m, how, why, result)
  local parts = parts_of(m)
  if how == 'purged' then -- it was counted when it died
    if parts.run then forget_run(KEYS[24] .. 'run:' .. parts.run) end
    if parts.chain then advance(m, parts, 'dropped') end
    return
  end
  if parts.run then how = run_ended(parts.run, how, why) end
  if parts.chain and advance(m, parts, how, result) then return end
  for _, of in ipairs(parts.tallies) do tally(of, how, 1) end
end

-- revive: it was dead and is on its way again, and so is its run, under the keys that nobody has taken meanwhile.
local function revive(m)
  local parts = parts_of(m)
  if parts.run then
    local key = KEYS[24] .. 'run:' .. parts.run
    redis.call('HSET', key, 'state', 'running', 'error', '', 'planned', now)
    redis.call('HDEL', key, 'ended', 'stop', 'reason')
    for taken in string.gmatch(m.same or '', 'until_done ([^\n]+)') do
      redis.call('SET', KEYS[23] .. taken, parts.run, 'NX', 'PX', LAST_RESORT)
    end
  end
  for _, of in ipairs(parts.tallies) do tally(of, 'failed', -1) end
end

-- follow: the next chunk of a run takes the place of this one: what counts it, its locks, and its keys go over to it.
local function follow(m, id, body, due)
  local run = parts_of(m).run
  local key = KEYS[24] .. 'run:' .. run
  redis.call('ZREM', KEYS[15], m.id)
  for _, lock in ipairs(locks_of(m)) do
    if redis.call('HDEL', KEYS[13] .. lock.key, m.id) == 1 then
      redis.call('HSET', KEYS[13] .. lock.key, id, '')
      redis.call('ZADD', KEYS[15], '+inf', id)
    end
  end
  redis.call('HSET', KEYS[1] .. id, 'st', 'HELD', 'seq', 1, 'attempt', 1, 'queue', m.queue, 'body', body, 'part', m.part,
    'locks', m.locks, 'rates', m.rates, 'fresh', string.format('%.0f', due),
    'due', string.format('%.0f', due))
  if m.same then
    redis.call('HSET', KEYS[1] .. id, 'same', m.same)
    for taken in string.gmatch(m.same, 'until_done ([^\n]+)') do -- the last resort is not for what goes on
      if redis.call('GET', KEYS[23] .. taken) == run then redis.call('PEXPIRE', KEYS[23] .. taken, LAST_RESORT) end
    end
  end
  count({ st = 'HELD', queue = m.queue }, 1)
  m.part, m.locks, m.same = '', '', nil
  redis.call('DEL', key .. ':sent')
  redis.call('HSET', key, 'current', id)
  redis.call('HINCRBY', key, 'chunk', 1)
  go_on(run)
end

-- chunk_done: a chunk has done its part, and the next takes its place unless the run is to end. Starts keep their pace.
local function chunk_done(m, done, cursor, id, body)
  local run = parts_of(m).run
  if not run then return end
  local key = KEYS[24] .. 'run:' .. run
  local f = redis.call('HMGET', key, 'stop', 'planned', 'pause')
  redis.call('HINCRBY', key, 'progress', done)
  redis.call('HSET', key, 'at', cursor)
  if id ~= '' and not f[1] then follow(m, id, body, math.max(now, tonumber(f[2]) + tonumber(f[3]))) end
end

-- within: where new messages belong. `tallies` has lines "in batch:<id>" and "in run:<id>"; `chunk` is whose `claim`
-- enqueues them. Returns nil, or why they are refused: lost (that claim does not stand, or is of a chunk that its run is
-- past, come after its marker) or closed (the batch is sealed).
local sent, sealed
local function refused_within(tallies, chunk, claim)
  if chunk ~= '' then
    local m = read(chunk)
    local run = parts_of(m).run
    if m.st ~= 'RUN' or m.claim ~= claim or not run then return 'lost' end
    sent = KEYS[24] .. 'run:' .. run .. ':sent'
  end
  for id in string.gmatch(tallies, 'in batch:([^\n]+)') do
    local f = redis.call('HMGET', KEYS[24] .. 'batch:' .. id, 'made', 'sealed', 'builder')
    if f[3] and not sent then sent = KEYS[24] .. 'batch-sent:' .. id end
    if not f[1] or (f[2] and not sent) then return 'closed' end
    sealed = sealed or f[2]
  end
end

-- refused_late: a batch that is sealed takes what it has, from a task that is repeated, and nothing else.
local function refused_late(id)
  if sealed and redis.call('SISMEMBER', sent, id) == 0 then return 'closed' end
end

local function chain_in(part) return string.match(part, '^chain %d+ ([^\n]+)') end

-- refused_link: a new message begins a chain, and what follows it is forgotten. Returns why it is refused: unchained.
local function refused_link(id, own)
  if own == '' or read(id).st or (sent and redis.call('SISMEMBER', sent, id) == 1) then return end
  if redis.call('EXISTS', KEYS[24] .. 'chain:' .. chain_in(own)) == 0 then return 'unchained' end
end

-- sent_before: whether this chunk, or the task that fills this batch, has enqueued it already, however long ago.
local function sent_before(id) return sent and redis.call('SADD', sent, id) == 0 end

local function join(tallies, created)
  if created == 0 then return end
  for of in string.gmatch(tallies, 'in ([^\n]+)') do
    if redis.call('EXISTS', KEYS[24] .. of) == 1 then
      redis.call('HINCRBY', KEYS[24] .. of, 'total', created)
      local batch = string.match(of, '^batch:(.+)$')
      if redis.call('HINCRBY', KEYS[24] .. of, 'open', created) == created and batch then keep_batch(batch) end
    end
  end
end
