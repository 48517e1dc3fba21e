-- hold: take or keep the lead of one duty.
-- KEYS[1] string {tb}:leader:<duty>  owner, until its lease ends
-- ARGV[1] owner   ARGV[2] lease (ms); 0 resigns
-- Returns 1, or 0 when another has it.

local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1]) -- frees first, so that it runs when memory is full
if ARGV[2] ~= '0' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
