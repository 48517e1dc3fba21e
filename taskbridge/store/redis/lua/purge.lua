-- purge: a dead message ends for good; its marker goes on recognising copies.
-- begins with flow.lua
-- ARGV[1] id
-- Returns 1, or 0 when it is not among the dead.

local m = read(ARGV[1])
if m.st ~= 'DEAD' then return 0 end
settle_done(m, nil, 'purged from the dead letters')
return 1
