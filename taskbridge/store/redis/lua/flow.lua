-- flow: what a message is part of, and what follows when it ends. Every script that may end one begins with this.
-- begins with record.lua
-- KEYS[24] prefix {tb}:flow:
--   chain:<id>     hash  link -> text of each that is to come (see make); on_error: stop, continue or call; call; at
--   batch:<id>     hash  total open done failed dropped when then error sealed made ended
--   run:<id>       hash  task queue bounds expected progress at chunk current round max pause planned started paused stop
--                        state error ended; of what it has enqueued total open done failed dropped
--   run:<id>:sent  set   ids of what its present chunk has enqueued
--   chains, batches, runs  zset id -> when it was made (unix ms)

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

-- enlist: where it is found by who does not know its id; what is older than any can be is forgotten.
local function enlist(index, id)
  redis.call('ZREMRANGEBYSCORE', KEYS[24] .. index, '-inf', now - LAST_RESORT)
  redis.call('ZADD', KEYS[24] .. index, now, id)
end

-- make: a message of the store's own making, under an id that only it can have. `text` is "delay id queue body", with a
-- mark behind the delay (ms) where it is for others' workers: then its part is `others`, for nobody tells how it ends.
-- True when it belongs to `part`.
local function make(text, value, part)
  local delay, away, id, queue, body = string.match(text, '^(%d+)(!?) (%S+) (%S+) (.*)$')
  local key = KEYS[1] .. id
  if away ~= '' then part = 'others' end
  if redis.call('EXISTS', key) == 1 then return away == '' end
  local from, to = string.find(body, HOLE, 1, true)
  if from then body = string.sub(body, 1, from - 1) .. value .. string.sub(body, to + 1) end
  local at = now + tonumber(delay)
  local st = at > now and 'DELAYED' or 'READY'
  redis.call('HSET', key, 'st', st, 'seq', 1, 'attempt', 1, 'queue', queue, 'body', body, 'part', part, 'fresh', 1)
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

-- advance: a link has ended. True when the next one is ready, and counts for it.
local function advance(m, parts, how, result)
  local key = KEYS[24] .. 'chain:' .. parts.chain
  if how == 'failed' then
    local f = redis.call('HMGET', key, 'on_error', 'call')
    if not f[1] or f[1] == 'stop' then return false end -- it stays as it is: its dead letter can be replayed
    local own = parts.run and 'run ' .. parts.run or ''
    redis.call('HSET', KEYS[1] .. m.id, 'part', own) -- the chain goes on, or ends, without it
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
  return false
end

-- complete: a batch that is sealed and has no open member calls back, each callback once.
local function complete(id)
  local key = KEYS[24] .. 'batch:' .. id
  local f = redis.call('HMGET', key, 'sealed', 'open', 'failed', 'when', 'then', 'error')
  if not f[1] or tonumber(f[2] or 0) > 0 then return end
  local failed = tonumber(f[3] or 0) > 0
  if f[5] and (not failed or f[4] == 'all_done') then
    redis.call('HDEL', key, 'then')
    make(f[5], 'null', '')
  end
  if f[6] and failed then
    redis.call('HDEL', key, 'error')
    make(f[6], 'null', '')
  end
  redis.call('HSET', key, 'ended', now)
  redis.call('PEXPIRE', key, failed and LAST_RESORT or REMEMBERED)
end

-- go_on: the chunk that is held is due, unless its run is paused or too much of what it has enqueued is yet to end.
local function go_on(id)
  local f = redis.call('HMGET', KEYS[24] .. 'run:' .. id, 'current', 'paused', 'open', 'max', 'planned')
  if not f[1] or f[2] or (tonumber(f[4]) >= 0 and tonumber(f[3]) > tonumber(f[4])) then return end
  local m = read(f[1])
  if m.st ~= 'HELD' then return end
  local at = math.max(now, tonumber(f[5] or 0))
  depart(m)
  m.st = at > now and 'DELAYED' or 'READY'
  redis.call('HSET', KEYS[1] .. m.id, 'st', m.st)
  redis.call('ZADD', KEYS[3], at, m.id)
  count(m, 1)
  ring(at)
end

function held_back(m)
  local run = string.match(m.part, '^run ([^\n]+)')
  return run and redis.call('HEXISTS', KEYS[24] .. 'run:' .. run, 'paused') == 1
end

-- tally: of what counts a message, `by` is 1 when it has ended, -1 when it is replayed.
local function tally(of, how, by)
  local key = KEYS[24] .. of
  if redis.call('EXISTS', key) == 0 then return end
  redis.call('HINCRBY', key, how, by)
  redis.call('HINCRBY', key, 'open', -by)
  local kind, id = string.match(of, '^(%l+):(.+)$')
  if by < 0 then
    redis.call('HDEL', key, 'ended')
  elseif kind == 'batch' then
    complete(id)
  else
    go_on(id)
  end
end

-- run_ended: how the run has ended: with its last chunk, or because it was told to.
local function run_ended(id, how, why)
  local key = KEYS[24] .. 'run:' .. id
  local cancelled = how ~= 'failed' and redis.call('HEXISTS', key, 'stop') == 1
  redis.call('HSET', key, 'state', cancelled and 'cancelled' or how, 'error', how ~= 'done' and why or '', 'ended', now)
  redis.call('HDEL', key, 'paused')
  redis.call('PEXPIRE', key, how == 'failed' and LAST_RESORT or REMEMBERED)
  if how ~= 'failed' then redis.call('DEL', key .. ':sent') end
  return cancelled and 'dropped' or how
end

-- ends: done, failed, dropped, or purged after it had failed. What it was part of goes on with the next, or has one less to wait for.
function ends(m, how, why, result)
  local parts = parts_of(m)
  if how == 'purged' then -- it was counted when it died
    if parts.chain then advance(m, parts, 'dropped') end
    return
  end
  if parts.run then how = run_ended(parts.run, how, why) end
  if parts.chain and advance(m, parts, how, result) then return end
  for _, of in ipairs(parts.tallies) do tally(of, how, 1) end
end

-- revive: it was dead and is on its way again.
local function revive(m)
  local parts = parts_of(m)
  if parts.run then
    local key = KEYS[24] .. 'run:' .. parts.run
    redis.call('HSET', key, 'state', 'running', 'error', '')
    redis.call('HDEL', key, 'ended')
    redis.call('PERSIST', key)
  end
  for _, of in ipairs(parts.tallies) do tally(of, 'failed', -1) end
end

-- follow: the next chunk of a run takes the place of this one: what counts it, its locks, and its keys go over to it.
local function follow(m, id, body, planned)
  local run = parts_of(m).run
  local key = KEYS[24] .. 'run:' .. run
  for _, lock in ipairs(locks_of(m)) do
    if redis.call('HDEL', KEYS[13] .. lock.key, m.id) == 1 then redis.call('HSET', KEYS[13] .. lock.key, id, '') end
  end
  redis.call('ZREM', KEYS[15], m.id)
  redis.call('HSET', KEYS[1] .. id, 'st', 'HELD', 'seq', 1, 'attempt', 1, 'queue', m.queue, 'body', body, 'part', m.part,
    'locks', m.locks, 'rates', m.rates, 'fresh', 1)
  if m.same then redis.call('HSET', KEYS[1] .. id, 'same', m.same) end
  count({ st = 'HELD', queue = m.queue }, 1)
  m.part, m.locks, m.same = '', '', nil
  redis.call('DEL', key .. ':sent')
  redis.call('HSET', key, 'current', id, 'planned', string.format('%.0f', planned))
  redis.call('HINCRBY', key, 'chunk', 1)
  redis.call('ZADD', KEYS[24] .. 'runs', 'XX', now, run)
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
-- enqueues them. Returns nil, or why they are refused: lost (that claim does not stand) or closed (the batch is sealed).
local sent
local function refused_within(tallies, chunk, claim)
  if chunk ~= '' then
    local m = read(chunk)
    local run = parts_of(m).run
    if m.st ~= 'RUN' or m.claim ~= claim then return 'lost' end
    if run then sent = KEYS[24] .. 'run:' .. run .. ':sent' end
  end
  for id in string.gmatch(tallies, 'in batch:([^\n]+)') do
    local key = KEYS[24] .. 'batch:' .. id
    if redis.call('EXISTS', key) == 0 or redis.call('HEXISTS', key, 'sealed') == 1 then return 'closed' end
  end
end

local function chain_in(part) return string.match(part, '^chain %d+ ([^\n]+)') end

-- refused_link: a new message begins a chain, and what follows it is forgotten. Returns why it is refused: unchained.
local function refused_link(id, own)
  if own == '' or read(id).st or (sent and redis.call('SISMEMBER', sent, id) == 1) then return end
  if redis.call('EXISTS', KEYS[24] .. 'chain:' .. chain_in(own)) == 0 then return 'unchained' end
end

-- sent_before: whether this chunk, or one that was repeated, has enqueued it already, however long ago.
local function sent_before(id) return sent and redis.call('SADD', sent, id) == 0 end

local function join(tallies, created)
  if created == 0 then return end
  for of in string.gmatch(tallies, 'in ([^\n]+)') do
    redis.call('HINCRBY', KEYS[24] .. of, 'total', created)
    redis.call('HINCRBY', KEYS[24] .. of, 'open', created)
  end
end

-- belongs: a new message's part: its own line, then what counts it.
local function belongs(own, tallies)
  if own ~= '' and tallies ~= '' then return own .. '\n' .. tallies end
  return own .. tallies
end
