-- record_all: have workers record every message, of tasks with ledger=False, too; not for less long than was said before.
-- KEYS[1] string {tb}:record_all  while they do
-- ARGV[1] for how long (ms); 0 no longer
-- Returns nothing.

local span = tonumber(ARGV[1])
if span == 0 or redis.call('PTTL', KEYS[1]) < span then
  redis.call('DEL', KEYS[1]) -- frees first, so that it runs when memory is full
  if span > 0 then redis.call('SET', KEYS[1], 1, 'PX', span) end
end
