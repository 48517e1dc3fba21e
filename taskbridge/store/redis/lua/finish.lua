-- finish: a worker tells what became of its claim; the broker's copy is acknowledged in the same step.
-- begins with look.lua
-- KEYS[26] hash {tb}:held:<owner>  the broker's copy
-- ARGV[1] id   ARGV[2] claim   ARGV[3] state: DONE DEAD DELAYED READY PARKED THROTTLED   ARGV[4] 1 when an attempt was spent,
--   -1 when the task was never entered
-- ARGV[5] wait, or how long it stays parked, or its limit's key stays shut (ms)   ARGV[6] why   ARGV[7] traceback
-- ARGV[8] group, or the limit's key   ARGV[9] new body, or ''
-- ARGV[10] tag of the broker's copy in KEYS[26]; '' when the broker is another server
-- ARGV[11] of what is done, "enqueued due", and in a second line "queue task", for its marker; '' where its body is to tell it
-- ARGV[12] result of a link (JSON)   of a chunk also ARGV[13] how much it did   ARGV[14] cursor it came to
-- ARGV[15] id of the next, ARGV[16] its body; '' when nothing is left
-- Returns ok, mine (told before), cancelled (it was, so it has ended), refused (the claim was lost) or unknown (no record: not
-- acknowledged).

local m, claim, state = read(ARGV[1]), ARGV[2], ARGV[3]
if not m.st then return 'unknown' end
local stands = m.st == 'RUN' and m.claim == claim

-- The shortest way, of most messages: it is done, is part of nothing, and nobody waits for its lock.
if stands and state == 'DONE' and ARGV[6] == '' and m.part == '' then
  local lock = string.match(m.locks, '^%d+ %l+ ([^\n]+)$')
  if m.locks == '' or (lock and redis.call('EXISTS', KEYS[14] .. lock) == 0) then
    redis.call('ZREM', KEYS[2], claim .. ' ' .. m.id)
    if lock then redis.call('HDEL', KEYS[13] .. lock, m.id) end
    free_same(m)
    mark_done(m, claim, ARGV[11] ~= '' and ARGV[11] or facts_of(m))
    if ARGV[10] ~= '' then redis.call('HDEL', KEYS[26], ARGV[10]) end
    return 'ok'
  end
end

-- goes on with flow.lua

local answer = 'refused'
if stands and state ~= 'DONE' and ends_cancelled(m, claim) then
  answer = 'cancelled'
elseif stands then
  answer = 'ok'
  if state == 'DONE' then
    if ARGV[13] then
      free_first()
      chunk_done(m, ARGV[13], ARGV[14], ARGV[15], ARGV[16])
    end
    settle_done(m, claim, ARGV[6], ARGV[12], ARGV[11] ~= '' and ARGV[11] or nil)
  elseif state == 'DEAD' then
    settle_dead(m, ARGV[6], ARGV[7])
  else
    local ran = ran_of(m)
    if ARGV[4] == '1' then m.attempt = m.attempt + 1 end
    free_first()
    local shut = state == 'THROTTLED' and shut_for(m, ARGV[8], tonumber(ARGV[5]))
    if state == 'THROTTLED' and not shut then state = 'DELAYED' end
    if not redispatch(m, state, now + tonumber(ARGV[5]), ARGV[8]) then
      redis.call('HSET', KEYS[1] .. m.id, 'last', claim)
      state = 'DONE' -- its run was to end
    elseif ARGV[4] == '-1' then
      redis.call('HINCRBY', KEYS[1] .. m.id, 'starts', -1)
      keep_same(m)
    end
    if shut and m.st == 'THROTTLED' then
      m.turn = 0 -- it had its turn already
      wait_at(m, shut)
    end
    if state == 'PARKED' then
      note(m, 'parked', ARGV[8], now + tonumber(ARGV[5]), ran)
    elseif state ~= 'DONE' then
      note(m, ARGV[4] == '1' and 'retried' or 'postponed', ARGV[6], now + tonumber(ARGV[5]), ran)
    end
  end
  if state ~= 'DONE' then
    redis.call('HSET', KEYS[1] .. m.id, 'last', claim, 'why', ARGV[6])
    if ARGV[9] ~= '' then redis.call('HSET', KEYS[1] .. m.id, 'body', ARGV[9]) end
  end
elseif m.last == claim then
  answer = 'mine'
end
if ARGV[10] ~= '' then redis.call('HDEL', KEYS[26], ARGV[10]) end
return answer
