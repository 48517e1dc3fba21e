-- mark: these were published; the engine owns them, unless they have gone on meanwhile. The record stays, body and all.
-- begins with record.lua
-- ARGV id, seq repeated
-- Returns how many were marked.

local marked = 0
for i = 1, #ARGV, 2 do
  local m = read(ARGV[i])
  if (m.st == 'READY' or m.st == 'DELAYED') and m.seq == tonumber(ARGV[i + 1]) then
    depart(m) -- what is reserved for it stays so: it is on its way
    redis.call('HSET', KEYS[1] .. m.id, 'st', 'OUT')
    if m.fresh then redis.call('HDEL', KEYS[1] .. m.id, 'fresh') end
    if redis.call('HEXISTS', KEYS[1] .. m.id, 'foreign') == 1 then -- nobody will tell of its end
      redis.call('PEXPIRE', KEYS[1] .. m.id, LONG_WINDOW)
    end
    marked = marked + 1
  end
end
return marked
