-- begin_shadow: the copy of a message is about to run, once. Refused when memory is full.
-- begins with shadow.lua
-- Returns 1; 0 when that was said before.

if redis.call('HSETNX', pair, 'begun', 1) == 0 then return 0 end
heard()
count('begun', 1)
counted()
return 1
