-- let_on: some of what waited for what is resumed go on, the longest waiting first. Who comes meanwhile waits behind them.
-- begins with record.lua
-- ARGV[1] limit (count)
-- Returns {how many may go on, how many are left}.

local on, left = 0, tonumber(ARGV[1])
free_first()
local said, behind = redis.call('HGETALL', KEYS[25]), 0
for i = 1, #said, 2 do
  local list = KEYS[25] .. ':' .. said[i]
  if string.sub(said[i + 1], 1, 7) == 'resumed' then
    for _, id in ipairs(left > 0 and redis.call('ZRANGE', list, 0, left - 1) or {}) do
      local m = read(id)
      redis.call('ZREM', list, id)
      left = left - 1
      if m.st == 'PAUSED' then -- else it was forgotten while it waited
        redis.call('HDEL', KEYS[1] .. id, 'at')
        let_on(m)
        on = on + 1
      end
    end
    local waiting = redis.call('ZCARD', list)
    behind = behind + waiting
    if waiting == 0 then redis.call('HDEL', KEYS[25], said[i]) end
  end
end
return { on, behind }
