-- mark: these were published; the engine owns them, unless they have gone on meanwhile. The record stays, body and all.
-- begins with record.lua
-- ARGV id, seq, backend that has it or '', repeated
-- Returns how many were marked.

local marked, gone = 0, {}
free_first()
for i = 1, #ARGV, 3 do
  local id = ARGV[i]
  local f = redis.call('HMGET', KEYS[1] .. id, 'st', 'seq', 'queue', 'hold', 'fresh', 'foreign', 'trail')
  if (f[1] == 'READY' or f[1] == 'DELAYED') and tonumber(f[2]) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[3], id) -- what is reserved for it stays so: it is on its way
    redis.call('HSET', KEYS[1] .. id, 'st', 'OUT', 'to', ARGV[i + 2], 'sent', now)
    if f[7] then note({ id = id, trail = f[7] }, 'published', ARGV[i + 2]) end
    if f[5] then redis.call('HDEL', KEYS[1] .. id, 'fresh') end
    if f[6] then redis.call('PEXPIRE', KEYS[1] .. id, LONG_WINDOW) end -- nobody will tell of its end
    local left = (f[3] or '') .. ' ' .. f[1]
    if not f[4] then gone[left] = (gone[left] or 0) + 1 end
    marked = marked + 1
  end
end
for left, n in pairs(gone) do
  local queue, st = string.match(left, '^(.*) (%u+)$')
  count({ queue = queue, st = st }, -n)
end
return marked
